import { LRUCache } from 'lru-cache';
import type { BlobCatalog } from '../catalog/catalog.ts';
import type { Digest } from '../oci/digest.ts';
import type { Flights } from './flights.ts';

/** Blobs that are remembered to be in storage, at most. */
const maxRemembered = 50_000;

/** What holdings are read from. */
export interface HoldingsParts {
  readonly blobs: Pick<BlobCatalog, 'find' | 'removals'>;
  readonly flights: Pick<Flights, 'views'>;
}

/** How much of which blob is here, for those who look at many, often. */
export class Holdings {
  readonly #parts: HoldingsParts;
  readonly #stored = new LRUCache<Digest, true>({ maxSize: maxRemembered, sizeCalculation: () => 1 });
  #removals = 0;

  constructor(parts: HoldingsParts) {
    this.#parts = parts;
  }

  /** How much of each blob is here now, in bytes: to be asked at once. */
  now(): (digest: Digest, size: number) => number {
    const { blobs, flights } = this.#parts;
    if (blobs.removals !== this.#removals) this.#stored.clear();
    this.#removals = blobs.removals;
    const arriving = new Map(
      flights.views().map(({ digest, held }) => [digest, held.reduce((sum, [start, end]) => sum + end - start, 0)]),
    );
    return (digest, size) => arriving.get(digest) ?? (this.#isStored(digest) ? size : 0);
  }

  #isStored(digest: Digest): boolean {
    const known = this.#stored.has(digest) || this.#parts.blobs.find(digest) !== undefined;
    if (known) this.#stored.set(digest, true);
    return known;
  }
}
