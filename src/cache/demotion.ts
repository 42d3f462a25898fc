import { randomUUID } from 'node:crypto';
import type { Clock } from '../async/clock.ts';
import { SingleFlight } from '../async/singleflight.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Digest, hexOf } from '../oci/digest.ts';
import { chunkSize, type StorageDriver } from '../storage/driver.ts';

/** What blobs are demoted with. */
export interface DemotionParts {
  readonly catalog: Catalog;
  readonly storage: Pick<StorageDriver, 'remove' | 'removeIngest' | 'reopen'>;
  readonly clock: Clock;
  /** What is stored of it is not what it was. */
  demoted(digest: Digest): void;
}

/**
 * Damaged blobs become unfinished ones: whoever goes on with one finds out which of its chunks are still right, and
 * fetches the others only. Without checksums there is nothing to go on from.
 */
export class Demotion {
  readonly #parts: DemotionParts;
  readonly #running = new SingleFlight<void>();

  constructor(parts: DemotionParts) {
    this.#parts = parts;
  }

  /** Demotes a blob, if it is one. `upstream`: where the rest will come from. @throws StorageError */
  demote(digest: Digest, upstream: string): Promise<void> {
    return this.#running.run(digest, () => this.#run(digest, upstream));
  }

  async #run(digest: Digest, upstream: string): Promise<void> {
    const { catalog, clock, storage } = this.#parts;
    const record = catalog.blobs.find(digest);
    if (record === undefined) return;
    this.#parts.demoted(digest);
    const { size } = record;
    const checksums = catalog.blobs.checksums(digest);
    if (checksums.length !== Math.ceil(size / chunkSize)) {
      catalog.blobs.remove(digest);
      return storage.remove(digest);
    }
    const other = catalog.partials.find(upstream, digest, size);
    if (other !== undefined) {
      catalog.partials.remove(other.name);
      await storage.removeIngest(other.name);
    }
    const name = `${hexOf(digest)}.${randomUUID().slice(0, 8)}`;
    await storage.reopen(digest, name);
    const pieces = [...checksums].map((crc, index) => {
      return { start: index * chunkSize, end: Math.min(size, (index + 1) * chunkSize), crc };
    });
    try {
      // In one go, so that its bytes are counted at any moment, and once.
      catalog.blobs.remove(digest);
      catalog.partials.put({ name, upstream, digest, size, usedAt: clock.wall() });
      catalog.partials.record(name, [...checksums.keys()], pieces);
    } catch (error) {
      await storage.removeIngest(name);
      throw error;
    }
  }
}
