import { abortable } from '../async/abortable.ts';
import type { Clock } from '../async/clock.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Interval } from '../http/range.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import type { StorageDriver, StoredBlob } from '../storage/driver.ts';
import type { Route } from '../upstream/routes.ts';
import type { Access } from './access.ts';
import type { Flight } from './flight.ts';
import type { Flights } from './flights.ts';
import { type BlobReader, StoredReader, type Turn } from './reader.ts';
import type { Uses } from './uses.ts';

/** Where the bytes of a response come from. */
export type BlobOrigin = 'hit' | 'flight' | 'pass';

/** A blob that may be read. Must be closed, or read: a reader closes it with itself. */
export interface OpenBlob {
  readonly origin: BlobOrigin;
  /** Bytes; `undefined` when the upstream does not say before it has sent all of it. */
  readonly size: number | undefined;
  /** Reads these intervals, the first one first. An infinite end is the end of the blob: its last byte waits for the digest. Once only. */
  read(intervals: readonly Interval[]): BlobReader;
  /** Leaves it unread. */
  close(): Promise<void>;
}

/** What the blob cache is made of. */
export interface BlobCacheParts {
  readonly storage: StorageDriver;
  readonly catalog: Catalog;
  readonly flights: Flights;
  readonly access: Access;
  readonly uses: Uses;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** The decision about each blob: in storage, arriving, or to be fetched. */
export class BlobCache {
  readonly #parts: BlobCacheParts;

  constructor(parts: BlobCacheParts) {
    this.#parts = parts;
  }

  /** The size of a blob that this repository may read, without opening it; `undefined` when it is not known. @throws UpstreamError */
  async size(route: Route, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    const claim = await this.#parts.access.claim(route, digest, signal);
    return this.#parts.catalog.blobs.find(digest)?.size ?? claim.size;
  }

  /**
   * Opens a blob for a repository that may read it. Nothing is fetched yet where the size is known.
   * @throws UpstreamError, StorageError
   */
  async open(route: Route, digest: Digest, turn: Turn, signal: AbortSignal): Promise<OpenBlob> {
    const { access, flights, metrics } = this.#parts;
    const { size } = await access.claim(route, digest, signal);
    const stored = await this.#stored(digest);
    if (stored !== undefined) {
      metrics.cacheRequests.inc({ kind: 'blob', result: 'hit' });
      return openStored(stored);
    }
    const { flight, joined } = await flights.join(route, digest, size);
    metrics.cacheRequests.inc({ kind: 'blob', result: joined ? 'join' : 'miss' });
    if (flight.blob.size === undefined) await firstByte(flight, turn, signal);
    return openFlight(flight, turn);
  }

  /**
   * Brings a blob that nobody has asked for yet, until the signal aborts. Nothing is done where it is stored. Resolves when
   * no more will come. @throws UpstreamError, StorageError; the signal's reason.
   */
  async expect(route: Route, digest: Digest, turn: Turn, signal: AbortSignal): Promise<void> {
    const { access, catalog, flights } = this.#parts;
    const { size } = await access.claim(route, digest, signal);
    if (catalog.blobs.find(digest) !== undefined) return;
    const { flight } = await flights.join(route, digest, size);
    const forget = flight.expect(turn);
    try {
      await abortable(flight.over, signal);
    } finally {
      forget();
    }
  }

  /** What storage has lost or cut short is forgotten, and fetched again. */
  async #stored(digest: Digest): Promise<StoredBlob | undefined> {
    const { catalog, clock, metrics, storage, uses } = this.#parts;
    const record = catalog.blobs.find(digest);
    if (record === undefined) return undefined;
    const letGo = uses.hold(digest);
    const blob = await storage.open(digest).finally(letGo);
    if (blob?.size === record.size) {
      catalog.blobs.touch(digest, clock.wall());
      return inUse(blob, uses.hold(digest));
    }
    metrics.integrityFailures.inc({ where: 'storage' });
    await blob?.close();
    catalog.blobs.remove(digest);
    await storage.remove(digest);
    return undefined;
  }
}

/** The same blob; closing it lets go of it too. */
function inUse(blob: StoredBlob, letGo: () => void): StoredBlob {
  const { size } = blob;
  return { size, read: (buffer, at) => blob.read(buffer, at), close: () => blob.close().finally(letGo) };
}

function openStored(blob: StoredBlob): OpenBlob {
  return {
    origin: 'hit',
    size: blob.size,
    read: (intervals) => new StoredReader(blob, Math.min(blob.size, Math.max(...intervals.map(({ end }) => end)))),
    close: () => blob.close(),
  };
}

function openFlight(flight: Flight, turn: Turn): OpenBlob {
  return {
    origin: flight.passing ? 'pass' : 'flight',
    size: flight.blob.size,
    read: (intervals) =>
      flight.read({ intervals, whole: intervals.some(({ end }) => end === Number.POSITIVE_INFINITY), ...turn }),
    close: () => Promise.resolve(),
  };
}

/** The upstream says how large a blob is when it begins to send it. */
async function firstByte(flight: Flight, turn: Turn, signal: AbortSignal): Promise<void> {
  const reader = flight.read({ intervals: [{ start: 0, end: 1 }], whole: false, ...turn });
  try {
    await reader.arrival(0, signal);
  } finally {
    await reader.close();
  }
}
