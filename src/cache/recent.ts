import { setImmediate } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Interval } from '../http/range.ts';
import type { ReadableBytes } from '../storage/driver.ts';

/** Whole blocks are read, so that readers who ask for different parts of them share one read. */
const blockSize = 256 * 1024;
/** 16 MiB: readers who began within a second of each other are hardly further apart. */
const most = 64;
/** More blocks than any blob has. */
const indexes = 2 ** 24;

/** So many readers of one blob are worth it; fewer are served best each by its own reads. */
export const sharedFrom = 4;

interface Block {
  readonly buffer: Buffer;
  /** How many bytes it holds, once they are read. */
  readonly length: Promise<number>;
}

/**
 * What many readers come to one after the other is read from the disk once, and copied for each: a read costs a thread's
 * turn, whatever its size. All blobs share the memory.
 */
export class Recent {
  readonly #blocks = new LRUCache<number, Block>({ max: most, dispose: (block) => this.#reuse(block) });
  readonly #free: Buffer[] = [];
  #blobs = 0;

  /** One more blob. @returns what its blocks are remembered under. */
  add(): number {
    return ++this.#blobs;
  }

  /** The block that holds `position`: all of it has to be readable for `read`. */
  blockAt(position: number, size = Number.POSITIVE_INFINITY): Interval {
    const start = position - (position % blockSize);
    return { start, end: Math.min(size, start + blockSize) };
  }

  /** Fills `buffer` from `position` on. @returns how many bytes of it: no more than its block has. @throws StorageError */
  async read(blob: number, content: ReadableBytes, buffer: Buffer, position: number): Promise<number> {
    const { start } = this.blockAt(position);
    const key = blob * indexes + start / blockSize;
    const block = this.#blocks.get(key) ?? this.#load(key, content, start);
    const copied = block.buffer.copy(buffer, 0, position - start, await block.length);
    // Nobody gets the next bytes before all others have had their turn.
    await setImmediate();
    return copied;
  }

  /** Nobody reads this blob any more. */
  forget(blob: number): void {
    for (const key of [...this.#blocks.keys()]) if (Math.floor(key / indexes) === blob) this.#blocks.delete(key);
    if (this.#blocks.size === 0) this.#free.length = 0;
  }

  #load(key: number, content: ReadableBytes, start: number): Block {
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(blockSize);
    const block = { buffer, length: content.read(buffer, start) };
    this.#blocks.set(key, block);
    // Whoever asked for it hears of it; the next one tries again.
    block.length.catch(() => {
      if (this.#blocks.peek(key) === block) this.#blocks.delete(key);
    });
    return block;
  }

  /** Those who wait for it copy it first: they began to wait before. */
  #reuse({ buffer, length }: Block): void {
    const free = () => {
      if (this.#blocks.size > 0) this.#free.push(buffer);
    };
    length.then(free, free);
  }
}
