import type { Catalog, Evictable } from '../catalog/catalog.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { StorageDriver } from '../storage/driver.ts';
import type { Flights } from './flights.ts';

/** What the evictor works on. */
export interface EvictorParts {
  readonly catalog: Catalog;
  readonly storage: Pick<StorageDriver, 'remove' | 'removeIngest'>;
  readonly metrics: Metrics;
  /** Bytes that may be kept. */
  readonly limit: number;
  /** What is arriving just now: it stays. */
  readonly flights: Pick<Flights, 'size' | 'isArriving'>;
}

const batch = 64;

/** Keeps the cache within its size: what was used least recently goes first. */
export class Evictor {
  readonly #parts: EvictorParts;
  #running: Promise<void> | undefined;

  constructor(parts: EvictorParts) {
    this.#parts = parts;
    parts.metrics.cacheLimit.set(parts.limit);
    parts.metrics.cacheBytes.set(parts.catalog.usage.bytes());
  }

  /** Removes what is too much. One run at a time; whoever asks meanwhile waits for it. @throws StorageError */
  async makeRoom(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #run(): Promise<void> {
    const { catalog, flights, limit, metrics } = this.#parts;
    catalog.flush();
    let bytes = catalog.usage.bytes();
    while (bytes > limit) {
      const victims = catalog.usage.oldest(batch + flights.size).filter((victim) => !this.#isArriving(victim));
      if (victims.length === 0) break;
      for (const victim of victims) {
        if (bytes <= limit) break;
        await this.#evict(victim);
        bytes -= victim.bytes;
      }
    }
    metrics.cacheBytes.set(bytes);
  }

  async #evict(victim: Evictable): Promise<void> {
    const { catalog, metrics, storage } = this.#parts;
    // The record goes first: a file without a record is found at the next start, a record without a file is a lie.
    if (victim.kind === 'blob') {
      catalog.blobs.remove(victim.digest);
      await storage.remove(victim.digest);
    } else {
      catalog.partials.remove(victim.name);
      await storage.removeIngest(victim.name);
    }
    metrics.evictedBytes.inc(victim.bytes);
  }

  #isArriving(victim: Evictable): boolean {
    return victim.kind === 'partial' && this.#parts.flights.isArriving(victim.name);
  }
}
