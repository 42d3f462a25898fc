import { abortable } from '../async/abortable.ts';
import type { Clock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Interval } from '../http/range.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import { chunkSize, type StoredBlob } from '../storage/driver.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { Route } from '../upstream/routes.ts';
import type { Access } from './access.ts';
import { CheckedReader, type Checking } from './checked-reader.ts';
import type { Demotion } from './demotion.ts';
import { tryWrite } from './disk-failure.ts';
import type { Flight } from './flight.ts';
import type { Flights } from './flights.ts';
import { type BlobReader, StoredReader, type Turn } from './reader.ts';
import type { SharedBlobs } from './shared-blobs.ts';

/** Where the bytes of a response come from. */
export type BlobOrigin = 'hit' | 'flight' | 'pass';

/** A blob that may be read. Must be closed, or read: a reader closes it with itself. */
export interface OpenBlob {
  /** As it is now: there may turn out to be no room for what arrives. */
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
  readonly stored: SharedBlobs;
  readonly catalog: Catalog;
  readonly flights: Flights;
  readonly access: Access;
  readonly demotion: Demotion;
  /** One of so many chunks is checked when it is read; 0: none. */
  readonly verifySample: () => number;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

const stillComing = Symbol('still coming');

/** Milliseconds for which bytes that may be wrong are kept from clients: nodes that watch want a first byte by then. */
const doubtFor = 5000;

/** The decision about each blob: in storage, arriving, or to be fetched. */
export class BlobCache {
  readonly #parts: BlobCacheParts;
  #turn = 0;

  constructor(parts: BlobCacheParts) {
    this.#parts = parts;
  }

  /** The size of a blob that this repository may read, without opening it; `undefined` when it is not known. @throws UpstreamError */
  async size(route: Route, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    const claim = await this.#parts.access.claim(route, digest, signal);
    return this.#parts.catalog.blobs.find(digest)?.size ?? claim.size;
  }

  /**
   * Opens a blob for a repository that may read it. Nothing is fetched yet where the size is known; one whose bytes are
   * doubted is waited for for 5 s, since what was sent of it cannot be taken back.
   * @throws UpstreamError, StorageError, IntegrityError; the signal's reason.
   */
  async open(route: Route, digest: Digest, turn: Turn, signal: AbortSignal): Promise<OpenBlob> {
    const { size } = await this.#parts.access.claim(route, digest, signal);
    const doubt = new Deadline(this.#parts.clock, () => new DoubtError('it may still be wrong'), signal);
    doubt.set(doubtFor);
    try {
      return await this.#open({ route, digest, turn }, size, doubt.signal, signal);
    } finally {
      doubt.clear();
    }
  }

  async #open(asked: Asked, size: number | undefined, doubt: AbortSignal, signal: AbortSignal): Promise<OpenBlob> {
    const { flights, metrics } = this.#parts;
    const { route, digest, turn } = asked;
    const stored = await this.#stored(route, digest);
    if (stored !== undefined) {
      metrics.cacheRequests.inc({ kind: 'blob', result: 'hit' });
      return this.#openStored(stored, asked);
    }
    const { flight, joined } = await flights.join(route, digest, size);
    const doubted = flight.approach.doubted && !flight.passing && !doubt.aborted;
    if (doubted && (await ends(flight, turn, doubt))) return this.#open(asked, size, doubt, signal);
    signal.throwIfAborted();
    const letGo = flight.blob.retain();
    // It has landed since, or says why not.
    if (letGo === undefined && flight.blob.failure === undefined) return this.#open(asked, size, doubt, signal);
    metrics.cacheRequests.inc({ kind: 'blob', result: joined ? 'join' : 'miss' });
    try {
      if (flight.blob.size === undefined) await firstByte(flight, turn, signal);
    } catch (error) {
      await letGo?.();
      throw error;
    }
    return openFlight(flight, turn, letGo);
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
    if (!(await ends(flight, turn, signal))) signal.throwIfAborted();
  }

  /** What storage has lost or cut short is forgotten, and fetched again. */
  async #stored({ registry }: Route, digest: Digest): Promise<StoredBlob | undefined> {
    const { catalog, clock, demotion, metrics, stored } = this.#parts;
    const record = catalog.blobs.find(digest);
    if (record === undefined) return undefined;
    const blob = await stored.open(digest);
    if (blob?.size === record.size) {
      tryWrite(() => catalog.blobs.touch(digest, clock.wall()));
      return blob;
    }
    metrics.integrityFailures.inc({ where: 'storage' });
    await blob?.close();
    if (blob === undefined) catalog.blobs.remove(digest);
    else await demotion.demote(digest, registry.name);
    return undefined;
  }

  #openStored(blob: StoredBlob, asked: Asked): OpenBlob {
    const every = this.#parts.verifySample();
    const checksums = this.#parts.catalog.blobs.checksums(asked.digest);
    const isChecked = every > 0 && checksums.length === Math.ceil(blob.size / chunkSize);
    const endOf = (intervals: readonly Interval[]) => Math.min(blob.size, Math.max(...intervals.map(({ end }) => end)));
    const read = (intervals: readonly Interval[]) =>
      isChecked
        ? new CheckedReader(blob, endOf(intervals), this.#checking(asked, { checksums, every }, intervals, blob.size))
        : new StoredReader(blob, endOf(intervals));
    return { origin: 'hit', size: blob.size, read, close: () => blob.close() };
  }

  /** Each time another part of the chunks is checked. */
  #checking(
    { route, digest, turn }: Asked,
    { checksums, every }: Pick<Checking, 'checksums' | 'every'>,
    intervals: readonly Interval[],
    size: number,
  ): Checking {
    const { demotion, flights, metrics } = this.#parts;
    return {
      checksums,
      every,
      first: this.#turn++ % every,
      repair: async () => {
        metrics.integrityFailures.inc({ where: 'storage' });
        await demotion.demote(digest, route.registry.name);
        const { flight } = await flights.join(route, digest, size);
        return readFlight(flight, intervals, turn);
      },
    };
  }
}

/** Who asked for what. */
interface Asked {
  readonly route: Route;
  readonly digest: Digest;
  readonly turn: Turn;
}

/** `letGo` is what has kept its file open. */
function openFlight(flight: Flight, turn: Turn, letGo: (() => Promise<void>) | undefined): OpenBlob {
  return {
    get origin() {
      return flight.passing ? 'pass' : 'flight';
    },
    size: flight.blob.size,
    read: (intervals) => {
      const reader = readFlight(flight, intervals, turn);
      void letGo?.();
      return reader;
    },
    close: async () => letGo?.(),
  };
}

function readFlight(flight: Flight, intervals: readonly Interval[], turn: Turn): BlobReader {
  return flight.read({ intervals, whole: intervals.some(({ end }) => end === Number.POSITIVE_INFINITY), ...turn });
}

/**
 * Has all of it brought, as long as the signal allows. @returns whether no more will come. @throws UpstreamError where the
 * upstream did not deliver: it was asked often enough.
 */
async function ends(flight: Flight, turn: Turn, signal: AbortSignal): Promise<boolean> {
  const forget = flight.expect(turn);
  const outcome = await abortable(flight.over, signal)
    .catch(() => stillComing)
    .finally(forget);
  if (outcome instanceof UpstreamError) throw outcome;
  return outcome !== stillComing;
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

/** It was waited for long enough. */
class DoubtError extends Error {
  override readonly name = 'DoubtError';
}
