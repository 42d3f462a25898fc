import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Interval } from '../http/range.ts';
import { algorithmOf, type Digest } from '../oci/digest.ts';
import { type Ingest, type Piece, StorageError } from '../storage/driver.ts';
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

/**
 * Arriving content that there is no room for: a bounded part of it in memory, where it is needed next, and what was
 * written `below` before the room ran out. Nothing of it is kept.
 */
export class Window implements Ingest {
  readonly #digest: Digest;
  readonly #events: WindowEvents;
  readonly #budget: WindowBudget;
  readonly #below: Ingest;
  readonly #leave: () => void;
  readonly #blocks = new Map<number, Buffer>();
  /** What is in the blocks. */
  readonly #here = new IntervalSet();
  readonly #hash: Hash;
  #hashed = 0;

  constructor(digest: Digest, budget: WindowBudget, events: WindowEvents, below: Ingest) {
    this.#digest = digest;
    this.#events = events;
    this.#budget = budget;
    this.#below = below;
    this.#leave = budget.join();
    this.#hash = createHash(algorithmOf(digest));
  }

  /** So far ahead of each of so many readers may be fetched, in bytes. */
  ahead(readers: number): number {
    return Math.max(leastAhead, Math.floor(this.#budget.share / 2 / Math.max(1, readers)));
  }

  write(position: number, buffers: readonly Buffer[]): Promise<void> {
    const end = position + buffers.reduce((sum, { length }) => sum + length, 0);
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
    return Promise.resolve();
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    const end = Math.min(position + buffer.length, this.#here.endOfRun(position));
    if (end > position) return this.#copy(buffer, position, end);
    // What is not here was written before: up to where the next run begins.
    const next = this.#here.next(position)?.start ?? Number.POSITIVE_INFINITY;
    const length = Math.min(buffer.length, next - position);
    return this.#below.read(buffer.subarray(0, length), position);
  }

  async hash(to: number): Promise<readonly Piece[]> {
    const buffer = Buffer.allocUnsafe(blockSize);
    while (this.#hashed < to) {
      const read = await this.read(buffer.subarray(0, Math.min(blockSize, to - this.#hashed)), this.#hashed);
      if (read === 0) throw new StorageError('EIO', 'content has gone before it was hashed');
      this.#hash.update(buffer.subarray(0, read));
      this.#hashed += read;
    }
    return [];
  }

  digest(): Promise<{ hex: string; tail: Piece | undefined }> {
    return Promise.resolve({ hex: this.#hash.copy().digest('hex'), tail: undefined });
  }

  async checksum(intervals: readonly Interval[]): Promise<readonly Piece[]> {
    return Promise.all(
      intervals.map(async ({ start, end }) => {
        const buffer = Buffer.alloc(end - start);
        return { start, end, crc: crc32(buffer.subarray(0, await this.read(buffer, start))) };
      }),
    );
  }

  commit(): Promise<void> {
    return Promise.reject(new StorageError('ENOSPC', `there is no room for ${this.#digest}`));
  }

  discard(): Promise<void> {
    return this.#below.discard();
  }

  async close(): Promise<void> {
    this.#leave();
    this.#blocks.clear();
    await this.#below.close();
  }

  #copy(buffer: Buffer, position: number, end: number): number {
    for (let at = position; at < end; ) {
      const from = at % blockSize;
      const block = this.#blocks.get(Math.floor(at / blockSize));
      at += block?.copy(buffer, at - position, from, Math.min(blockSize, from + end - at)) ?? blockSize - from;
    }
    return end - position;
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
      const block = blockOf(index);
      if (block.end > writing.start && block.start < writing.end) continue;
      const distance = distanceTo(block, needed);
      if (last === undefined || distance > last.distance) last = { index, distance };
    }
    if (last === undefined) return false;
    this.#blocks.delete(last.index);
    const gone = this.#here.within(blockOf(last.index));
    for (const run of gone) this.#here.remove(run);
    for (const run of gone) this.#events.dropped(run);
    return true;
  }
}

function blockOf(index: number): Interval {
  return { start: index * blockSize, end: (index + 1) * blockSize };
}

/** How far it is to a block from where it is needed next; infinitely, where all have passed it. */
function distanceTo({ start, end }: Interval, needed: readonly number[]): number {
  const before = needed.filter((offset) => offset < end).map((offset) => Math.max(0, start - offset));
  return Math.min(Number.POSITIVE_INFINITY, ...before);
}
