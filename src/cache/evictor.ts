import type { Catalog, Evictable } from '../catalog/catalog.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { asStorageError, tryWrite } from './disk-failure.ts';
import type { Uses } from './uses.ts';

/** What the evictor works on. */
export interface EvictorParts {
  readonly catalog: Catalog;
  readonly storage: Pick<StorageDriver, 'remove' | 'removeIngest'>;
  readonly metrics: Metrics;
  /** What is arriving or being read just now: it stays. */
  readonly uses: Uses;
  /** These manifests went with the last of what they name. */
  forgotten(manifests: readonly Digest[]): void;
}

const batch = 64;

/** Removes content: what was used least recently goes first, and nothing that is in use or pinned. */
export class Evictor {
  readonly #parts: EvictorParts;
  #last: Promise<unknown> = Promise.resolve();
  #runs = 0;
  #leaving = 0;

  constructor(parts: EvictorParts) {
    this.#parts = parts;
  }

  /**
   * Removes at least so many bytes, or nothing when there is not so much that may go. One run at a time.
   * @returns whether it has. @throws StorageError
   */
  free(bytes: number): Promise<boolean> {
    this.#runs++;
    const run = this.#last
      .catch(() => {})
      .then(() => this.#run(bytes).catch((error) => Promise.reject(asStorageError(error))))
      .finally(() => this.#runs--);
    this.#last = run;
    return run;
  }

  /** Bytes that lie in storage still, though their record is gone. */
  get leaving(): number {
    return this.#leaving;
  }

  /** Whether something is being removed for want of room, or is about to be. */
  get busy(): boolean {
    return this.#runs > 0;
  }

  /** Resolves when the runs that have begun are over, however they end. */
  async settled(): Promise<void> {
    await this.#last.catch(() => {});
  }

  /** Removes one piece of content, whatever it is. @throws StorageError */
  async remove({ digest, name }: Pick<Evictable, 'digest' | 'name'>): Promise<void> {
    const { catalog, storage, uses } = this.#parts;
    const bytes = name === undefined ? (catalog.blobs.find(digest)?.size ?? 0) : catalog.partials.bytes(name);
    // The record goes first: a file without a record is found at the next start, a record without a file is a lie.
    if (name === undefined) catalog.blobs.remove(digest);
    else catalog.partials.remove(name);
    this.#leaving += bytes;
    const removed = name === undefined ? storage.remove(digest) : storage.removeIngest(name);
    await removed.finally(() => {
      this.#leaving -= bytes;
    });
    const manifests = catalog.manifests.abandon(digest, (kept) => uses.has(kept));
    if (manifests.length > 0) this.#parts.forgotten(manifests);
  }

  async #run(bytes: number): Promise<boolean> {
    const victims = this.#choose(bytes);
    if (victims === undefined) return false;
    for (const victim of victims) {
      // It may have come into use while others went.
      if (this.#parts.uses.has(victim.digest)) continue;
      await this.remove(victim);
      this.#parts.metrics.evictedBytes.inc(victim.bytes);
    }
    return true;
  }

  #choose(bytes: number): readonly Evictable[] | undefined {
    const { catalog, uses } = this.#parts;
    // It only makes the order exact.
    tryWrite(() => catalog.flush());
    const pinned = catalog.pins.contents();
    for (let limit = batch + uses.size + pinned.size; ; limit *= 4) {
      const oldest = catalog.usage.oldest(limit);
      const victims = prefixOf(
        oldest.filter(({ digest }) => !uses.has(digest) && !pinned.has(digest)),
        bytes,
      );
      if (victims !== undefined || oldest.length < limit) return victims;
    }
  }
}

/** The first ones that have so many bytes together; `undefined` when all have less. */
function prefixOf(all: readonly Evictable[], bytes: number): readonly Evictable[] | undefined {
  let sum = 0;
  for (const [index, each] of all.entries()) {
    if (sum >= bytes) return all.slice(0, index);
    sum += each.bytes;
  }
  return sum >= bytes ? all : undefined;
}
