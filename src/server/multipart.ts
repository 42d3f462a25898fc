import { randomBytes } from 'node:crypto';
import type { BufferBudget } from '../async/buffers.ts';
import type { BlobReader } from '../cache/reader.ts';
import type { Interval } from '../http/range.ts';
import { StorageError } from '../storage/driver.ts';

/** One part of the body: what stands before its bytes, and where in the blob those are. */
interface Part {
  /** Where in the body it begins. */
  readonly start: number;
  readonly head: Buffer;
  readonly interval: Interval;
}

/** Bytes of the blob, and where in a buffer they belong. */
interface Placement extends Interval {
  readonly at: number;
}

/** What lies between two parts is read with them up to this, rather than in two reads. */
const smallGap = 16 * 1024;
const largestRead = 256 * 1024;

/** The body of a 206 with several ranges: one part for each, in their order, never merged (RFC 9110 §14.6). */
export class Multipart {
  readonly contentType: string;
  /** Bytes of the whole body. */
  readonly length: number;
  readonly #parts: readonly Part[];

  /** `intervals` of a blob of `size` bytes, each with at least one byte. */
  constructor(intervals: readonly Interval[], size: number) {
    const boundary = randomBytes(16).toString('hex');
    this.contentType = `multipart/byteranges; boundary=${boundary}`;
    let length = 0;
    const add = (head: string, interval: Interval): Part => {
      const part = { start: length, head: Buffer.from(head, 'latin1'), interval };
      length += part.head.length + interval.end - interval.start;
      return part;
    };
    const parts = intervals.map((interval, index) => {
      const range = `bytes ${interval.start}-${interval.end - 1}/${size}`;
      const fields = `Content-Type: application/octet-stream\r\nContent-Range: ${range}`;
      return add(`${index === 0 ? '' : '\r\n'}--${boundary}\r\n${fields}\r\n\r\n`, interval);
    });
    this.#parts = [...parts, add(`\r\n--${boundary}--\r\n`, { start: 0, end: 0 })];
    this.length = length;
  }

  /** The body, its offsets counted from its own beginning, over what reads the blob. */
  over(blob: BlobReader, budget: BufferBudget): BlobReader {
    return new MultipartReader(this.#parts, this.length, blob, budget);
  }
}

/** Reads a multipart body. The head of a part is there when the first byte of the part is. */
class MultipartReader implements BlobReader {
  readonly #parts: readonly Part[];
  readonly #blob: BlobReader;
  readonly #budget: BufferBudget;
  readonly end: number;

  constructor(parts: readonly Part[], end: number, blob: BlobReader, budget: BufferBudget) {
    this.#parts = parts;
    this.end = end;
    this.#blob = blob;
    this.#budget = budget;
  }

  ready(position: number): number {
    let ready = position;
    for (let index = this.#indexAt(position); ready < this.end; index++) {
      const part = this.#part(index);
      const from = offsetAt(part, ready);
      const to = Math.min(part.interval.end, from < part.interval.end ? this.#blob.ready(from) : from);
      if (to === from && from < part.interval.end) return ready;
      ready = contentOf(part) + to - part.interval.start;
      if (to < part.interval.end) return ready;
    }
    return ready;
  }

  async arrival(position: number, signal: AbortSignal): Promise<void> {
    const part = this.#part(this.#indexAt(position));
    const from = offsetAt(part, position);
    if (from < part.interval.end) await this.#blob.arrival(from, signal);
  }

  wake(): void {
    this.#blob.wake();
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    const length = Math.min(buffer.length, this.ready(position) - position);
    const placements: Placement[] = [];
    let filled = 0;
    for (let index = this.#indexAt(position); filled < length; index++) {
      const part = this.#part(index);
      const at = position + filled;
      const head = part.head.subarray(Math.max(0, at - part.start));
      const headed = filled + head.copy(buffer, filled, 0, Math.min(head.length, length - filled));
      const from = offsetAt(part, at);
      const to = Math.min(part.interval.end, from + length - headed);
      if (to > from) placements.push({ start: from, end: to, at: headed });
      filled = headed + to - from;
    }
    for (const group of this.#grouped(placements)) await this.#readGroup(buffer, group);
    return length;
  }

  close(): Promise<void> {
    return this.#blob.close();
  }

  /** What stands close together in the blob is read at once. */
  #grouped(placements: readonly Placement[]): Placement[][] {
    const groups: Placement[][] = [];
    for (const placement of placements) {
      const group = groups.at(-1);
      const [first] = group ?? [];
      const last = group?.at(-1);
      if (group && first && last && this.#joins(first, last, placement)) group.push(placement);
      else groups.push([placement]);
    }
    return groups;
  }

  #joins(first: Placement, last: Placement, next: Placement): boolean {
    const gap = next.start - last.end;
    if (gap < 0 || gap > smallGap || next.end - first.start > largestRead) return false;
    return this.#blob.ready(first.start) >= next.end;
  }

  async #readGroup(buffer: Buffer, group: readonly Placement[]): Promise<void> {
    const [first, ...more] = group;
    const last = group.at(-1);
    if (first === undefined || last === undefined) return;
    if (more.length === 0) {
      await this.#fill(buffer.subarray(first.at, first.at + first.end - first.start), first.start);
      return;
    }
    const scratch = this.#budget.lease(last.end - first.start);
    try {
      await this.#fill(scratch.subarray(0, last.end - first.start), first.start);
      for (const { start, end, at } of group) scratch.copy(buffer, at, start - first.start, end - first.start);
    } finally {
      this.#budget.release(scratch);
    }
  }

  async #fill(buffer: Buffer, position: number): Promise<void> {
    const read = await this.#blob.read(buffer, position);
    if (read < buffer.length) throw new StorageError('EIO', 'stored content is shorter than recorded');
  }

  #part(index: number): Part {
    const part = this.#parts[index];
    if (part === undefined) throw new RangeError('behind the end of the body');
    return part;
  }

  /** The index of the part that holds this position of the body. */
  #indexAt(position: number): number {
    let low = 0;
    let high = this.#parts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#part(middle).start <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Where in the body the bytes of a part begin. */
function contentOf({ start, head }: Part): number {
  return start + head.length;
}

/** The offset in the blob of the first byte of a part at or behind this position of the body. */
function offsetAt(part: Part, position: number): number {
  return part.interval.start + Math.max(0, position - contentOf(part));
}
