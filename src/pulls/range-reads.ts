import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import type { Digest } from '../oci/digest.ts';

/** Readers that are remembered at most. */
const maxReaders = 20_000;
/** Milliseconds within which one reader of one blob is worth one line. */
const quietFor = 60_000;

interface Reader {
  saidAt: number;
  unsaid: number;
}

/**
 * Clients that mount images without pulling them (zstd:chunked, eStargz, SOCI) read ranges of what is held for days:
 * too much to say of each.
 */
export class RangeReads {
  readonly #clock: Clock;
  readonly #readers = new LRUCache<string, Reader>({ maxSize: maxReaders, sizeCalculation: () => 1 });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * This client has read a range of this blob.
   * @returns how many such reads there were since the last one that was worth saying, this one included; `undefined`
   * when that is less than a minute ago.
   */
  note(client: string, digest: Digest): number | undefined {
    const key = `${client} ${digest}`;
    const now = this.#clock.now();
    const reader = this.#readers.get(key) ?? { saidAt: Number.NEGATIVE_INFINITY, unsaid: 0 };
    reader.unsaid++;
    this.#readers.set(key, reader);
    if (now - reader.saidAt < quietFor) return undefined;
    const { unsaid } = reader;
    Object.assign(reader, { saidAt: now, unsaid: 0 });
    return unsaid;
  }
}
