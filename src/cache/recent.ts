import { setImmediate } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Interval } from '../http/range.ts';
import type { ReadableBytes } from '../storage/driver.ts';

/** Whole chunks are read, so that readers who ask for different parts of them share one read. */
const chunkSize = 256 * 1024;
/** 16 MiB: readers who began within a second of each other are hardly further apart. */
const most = 64;
/** More chunks than any blob has. */
const indexes = 2 ** 24;

/** So many readers of one blob are worth it; fewer are served best each by its own reads. */
export const sharedFrom = 4;

interface Chunk {
  readonly buffer: Buffer;
  /** How many bytes it holds, once they are read. */
  readonly length: Promise<number>;
}

/**
 * What many readers come to one after the other is read from the disk once, and copied for each: a read costs a thread's
 * turn, whatever its size. All blobs share the memory.
 */
export class Recent {
  readonly #chunks = new LRUCache<number, Chunk>({ max: most, dispose: (chunk) => this.#reuse(chunk) });
  readonly #free: Buffer[] = [];
  #blobs = 0;

  /** One more blob. @returns what its chunks are remembered under. */
  add(): number {
    return ++this.#blobs;
  }

  /** The chunk that holds `position`: all of it has to be readable for `read`. */
  chunkAt(position: number, size = Number.POSITIVE_INFINITY): Interval {
    const start = position - (position % chunkSize);
    return { start, end: Math.min(size, start + chunkSize) };
  }

  /** Fills `buffer` from `position` on. @returns how many bytes of it: no more than its chunk has. @throws StorageError */
  async read(blob: number, content: ReadableBytes, buffer: Buffer, position: number): Promise<number> {
    const { start } = this.chunkAt(position);
    const key = blob * indexes + start / chunkSize;
    const chunk = this.#chunks.get(key) ?? this.#load(key, content, start);
    const copied = chunk.buffer.copy(buffer, 0, position - start, await chunk.length);
    // Nobody gets the next bytes before all others have had their turn.
    await setImmediate();
    return copied;
  }

  /** Nobody reads this blob any more. */
  forget(blob: number): void {
    for (const key of [...this.#chunks.keys()]) if (Math.floor(key / indexes) === blob) this.#chunks.delete(key);
    if (this.#chunks.size === 0) this.#free.length = 0;
  }

  #load(key: number, content: ReadableBytes, start: number): Chunk {
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(chunkSize);
    const chunk = { buffer, length: content.read(buffer, start) };
    this.#chunks.set(key, chunk);
    // Whoever asked for it hears of it; the next one tries again.
    chunk.length.catch(() => {
      if (this.#chunks.peek(key) === chunk) this.#chunks.delete(key);
    });
    return chunk;
  }

  /** Those who wait for it copy it first: they began to wait before. */
  #reuse({ buffer, length }: Chunk): void {
    const free = () => {
      if (this.#chunks.size > 0) this.#free.push(buffer);
    };
    length.then(free, free);
  }
}
