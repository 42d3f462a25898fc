import { createHash, type Hash } from 'node:crypto';
import { byteLength } from '../async/byte-length.ts';
import type { Interval } from '../http/range.ts';
import { algorithmOf, type Digest } from '../oci/digest.ts';
import { IntegrityError } from '../oci/errors.ts';
import { type ArrivingBytes, type Piece, StorageError } from '../storage/driver.ts';
import type { Passage } from './inflight.ts';
import { IntervalSet } from './spans.ts';

const blockSize = 256 * 1024;
const mib = 1024 * 1024;
/** What all windows together hold in memory, as long as they are few. */
const windowBytes = 64 * mib;
/** What one window has at least. */
const leastWindow = 4 * mib;
/** So far is fetched ahead of a reader at least. */
const leastAhead = mib;

/** The memory that all windows share. */
export class WindowBudget {
  #windows = 0;

  /** What each window may hold now, in bytes. */
  get share(): number {
    return Math.max(leastWindow, Math.floor(windowBytes / Math.max(1, this.#windows)));
  }

  /** One more window, until what is returned is called. */
  join(): () => void {
    this.#windows++;
    return () => void this.#windows--;
  }
}

/** What a window asks of the blob that it is for. */
export interface WindowEvents {
  /** The offsets from which on somebody needs what comes. */
  needed(): readonly number[];
  /** These bytes are no longer there. */
  dropped(interval: Interval): void;
}

/** What a window lies over. */
export interface WindowGround {
  /** What can be read, of the window or below it. */
  readonly held: IntervalSet;
  /** Where bytes were written before there was a window: they stay. */
  readonly below: ArrivingBytes;
}

/** What could be read of a block that has gone, and the checksum of that. */
interface Trace {
  readonly runs: readonly Interval[];
  readonly sum: string;
}

/**
 * Arriving content that there is no room for: a bounded part of it in memory, where it is needed next, and what was
 * written `below` before the room ran out. Nothing of it is kept. A block that has gone can come again, but with other
 * bytes never: some have been read or hashed already, and all who read the blob must get what was hashed.
 */
export class Window implements Passage {
  readonly #digest: Digest;
  readonly #events: WindowEvents;
  readonly #budget: WindowBudget;
  readonly #ground: WindowGround;
  readonly #leave: () => void;
  readonly #blocks = new Map<number, Buffer>();
  /** What is in the blocks. */
  readonly #here = new IntervalSet();
  /** Of each block that has gone, and is not there again as far as it was. */
  readonly #traces = new Map<number, Trace>();
  readonly #hash: Hash;
  hashed = 0;

  constructor(digest: Digest, budget: WindowBudget, events: WindowEvents, ground: WindowGround) {
    this.#digest = digest;
    this.#events = events;
    this.#budget = budget;
    this.#ground = ground;
    this.#leave = budget.join();
    this.#hash = createHash(algorithmOf(digest));
  }

  /** So far ahead of each of so many readers may be fetched, in bytes. */
  ahead(readers: number): number {
    return Math.max(leastAhead, Math.floor(this.#budget.share / 2 / Math.max(1, readers)));
  }

  take(position: number, buffers: readonly Buffer[]): readonly Interval[] {
    const end = position + byteLength(buffers);
    let at = position;
    for (const buffer of buffers) {
      for (let from = 0; from < buffer.length; ) {
        const block = this.#blockAt(at, { start: position, end });
        const copied = buffer.copy(block, at % blockSize, from);
        from += copied;
        at += copied;
      }
    }
    this.#here.add({ start: position, end });
    return blocksOf({ start: position, end }).flatMap((block) => this.#shown(block));
  }

  /** The block at this offset, as far as all of it has to come again before any of it can be read; or nothing. */
  hidden(offset: number): readonly Interval[] {
    const runs = this.#traces.get(Math.floor(offset / blockSize))?.runs;
    const [first, last] = [runs?.[0], runs?.at(-1)];
    return first && last ? [{ start: first.start, end: last.end }] : [];
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    const { held, below } = this.#ground;
    const end = Math.min(position + buffer.length, held.endOfRun(position));
    // What is here is read first, in one go: it may go while the rest is read.
    for (const run of this.#here.within({ start: position, end }))
      this.#copy(buffer.subarray(run.start - position), run);
    const gaps = this.#gapsIn({ start: position, end });
    for (const gap of gaps) {
      const read = await below.read(buffer.subarray(gap.start - position, gap.end - position), gap.start);
      if (read < gap.end - gap.start) throw new StorageError('EIO', 'arriving content is shorter than it was');
    }
    return end - position;
  }

  /** Hashes a block at most. */
  async hash(to: number): Promise<readonly Piece[]> {
    const buffer = Buffer.allocUnsafe(Math.min(blockSize, to - this.hashed));
    const read = await this.read(buffer, this.hashed);
    this.#hash.update(buffer.subarray(0, read));
    this.hashed += read;
    return [];
  }

  digest(): Promise<{ hex: string; tail: Piece | undefined }> {
    return Promise.resolve({ hex: this.#hash.copy().digest('hex'), tail: undefined });
  }

  async close(): Promise<void> {
    this.#leave();
    this.#blocks.clear();
    await this.#ground.below.close();
  }

  /** What can be read of a block from now on: of one that has come again nothing, before it is what it was. */
  #shown(block: number): readonly Interval[] {
    const trace = this.#traces.get(block);
    if (trace !== undefined) {
      if (trace.runs.some(({ start, end }) => this.#here.endOfRun(start) < end)) return [];
      if (this.#sumOf(trace.runs) !== trace.sum) throw new IntegrityError(this.#digest, 'other bytes than before');
      this.#traces.delete(block);
    }
    return this.#here.within(spanOfBlock(block));
  }

  #sumOf(runs: readonly Interval[]): string {
    const hash = createHash('sha256');
    for (const run of runs) {
      const bytes = Buffer.allocUnsafe(run.end - run.start);
      this.#copy(bytes, run);
      hash.update(bytes);
    }
    return hash.digest('base64');
  }

  #gapsIn({ start, end }: Interval): Interval[] {
    const gaps: Interval[] = [];
    for (let gap = this.#here.firstGap({ start, end }); gap; gap = this.#here.firstGap({ start: gap.end, end })) {
      gaps.push(gap);
    }
    return gaps;
  }

  #copy(buffer: Buffer, { start, end }: Interval): void {
    for (let at = start; at < end; ) {
      const from = at % blockSize;
      const to = Math.min(blockSize, from + end - at);
      this.#blocks.get(Math.floor(at / blockSize))?.copy(buffer, at - start, from, to);
      at += to - from;
    }
  }

  #blockAt(position: number, writing: Interval): Buffer {
    const index = Math.floor(position / blockSize);
    const known = this.#blocks.get(index);
    if (known !== undefined) return known;
    while ((this.#blocks.size + 1) * blockSize > this.#budget.share && this.#dropOne(writing));
    const block = Buffer.allocUnsafe(blockSize);
    this.#blocks.set(index, block);
    return block;
  }

  /** Drops the block that is needed last, if at all; none of those that are being written. */
  #dropOne(writing: Interval): boolean {
    const needed = this.#events.needed();
    let last: { readonly index: number; readonly distance: number } | undefined;
    for (const index of this.#blocks.keys()) {
      const block = spanOfBlock(index);
      if (block.end > writing.start && block.start < writing.end) continue;
      const distance = distanceTo(block, needed);
      if (last === undefined || distance > last.distance) last = { index, distance };
    }
    if (last === undefined) return false;
    const gone = this.#here.within(spanOfBlock(last.index));
    // What is hidden nobody has read.
    if (!this.#traces.has(last.index)) this.#traces.set(last.index, { runs: gone, sum: this.#sumOf(gone) });
    this.#blocks.delete(last.index);
    for (const run of gone) this.#here.remove(run);
    for (const run of gone) this.#events.dropped(run);
    return true;
  }
}

function spanOfBlock(index: number): Interval {
  return { start: index * blockSize, end: (index + 1) * blockSize };
}

/** The indexes of the blocks that this touches. */
function blocksOf({ start, end }: Interval): number[] {
  const first = Math.floor(start / blockSize);
  return Array.from({ length: Math.ceil(end / blockSize) - first }, (_, at) => first + at);
}

/** How far it is to a block from where it is needed next; infinitely, where all have passed it. */
function distanceTo({ start, end }: Interval, needed: readonly number[]): number {
  const before = needed.filter((offset) => offset < end).map((offset) => Math.max(0, start - offset));
  return Math.min(Number.POSITIVE_INFINITY, ...before);
}
