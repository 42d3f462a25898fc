import { type Clock, sleep } from '../async/clock.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { describeError, type Log } from '../metrics/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { type Digest, hexOf } from '../oci/digest.ts';
import type { Piece, StorageDriver, StoredBlob } from '../storage/driver.ts';
import type { Demotion } from './demotion.ts';
import { isShortage } from './disk-failure.ts';

/** What the scrubber works on. */
export interface ScrubberParts {
  readonly catalog: Catalog;
  readonly storage: Pick<StorageDriver, 'list' | 'open' | 'remove'>;
  readonly demotion: Demotion;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether anybody is being served, or anything fetched: then the gentle rounds wait. Default: never. */
  busy?(): boolean;
  /** Blobs without a record were found: there may be too much now. */
  found?(): void;
}

/** What a stored blob was found to be. */
export type Verdict = 'right' | 'damaged' | 'missing';

/** So much is hashed in one go: others wait for the thread no longer than that takes. */
const slice = 4 * 1024 * 1024;
/** Milliseconds between one slice and the next, when nobody waits for the end: 64 MiB a second at most. */
const restAfterSlice = 62.5;
/** Milliseconds after which one that waits for others looks again whether they have done. */
const lookAgain = 1000;
/** Milliseconds that a round waits for others in all: a mirror that is never idle is gone through once a week as well. */
const roundPatience = 6 * 24 * 60 * 60_000;
/** Milliseconds from the start to the first round. */
const restBefore = 10 * 60_000;
/** Milliseconds between one round through all blobs and the next. */
const restBetween = 24 * 60 * 60_000;

/** Called after each slice: what is next waits for it. */
type Rest = () => Promise<void>;
const atOnce: Rest = () => Promise.resolve();

/** Hashes what is stored, so that damage is found before anybody asks for it; and what was found is put right. */
export class Scrubber {
  readonly #parts: ScrubberParts;
  readonly #ending = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(parts: ScrubberParts) {
    this.#parts = parts;
  }

  /** From now on, until `close`: at once what no record is known of, then all blobs again and again, gently. */
  start(): void {
    const { signal } = this.#ending;
    this.#running = this.#run(signal).catch((error: unknown) => {
      if (!signal.aborted) this.#parts.log.error({ error: String(error) }, 'the scrubber has stopped');
    });
  }

  async close(): Promise<void> {
    this.#ending.abort(new Error('the mirror is closing'));
    await this.#running;
  }

  /** Every blob that is recorded. */
  digests(): Digest[] {
    return this.#parts.catalog.blobs.digests();
  }

  /**
   * Hashes a blob that is recorded. One that is damaged becomes an unfinished one, to be completed when somebody asks for
   * it; of one that is missing the record goes. @throws the signal's reason
   */
  async verify(digest: Digest, signal: AbortSignal): Promise<Verdict> {
    return this.#verify(digest, signal, atOnce);
  }

  async #verify(digest: Digest, signal: AbortSignal, rest: Rest): Promise<Verdict> {
    const { catalog, demotion, log, metrics, storage } = this.#parts;
    const record = catalog.blobs.find(digest);
    if (record === undefined) return 'missing';
    const blob = await storage.open(digest);
    const hashed = blob && (await this.#hash(blob, signal, rest).finally(() => blob.close()));
    // It may have been evicted meanwhile, and that is no damage.
    if (catalog.blobs.find(digest) === undefined) return 'missing';
    if (hashed !== undefined && hashed.hex === hexOf(digest) && blob?.size === record.size) {
      if (catalog.blobs.checksums(digest).length === 0) catalog.blobs.add(record, checksumsOf(hashed.pieces));
      return 'right';
    }
    metrics.integrityFailures.inc({ where: 'scrub' });
    log.error({ digest }, blob === undefined ? 'a stored blob is missing' : 'a stored blob is damaged');
    if (blob === undefined) catalog.blobs.remove(digest);
    else await demotion.demote(digest, catalog.manifests.owner(digest)?.upstream ?? '');
    return blob === undefined ? 'missing' : 'damaged';
  }

  /**
   * Records blobs that lie in storage without a record, as they do when the catalog was lost; what is not what its name
   * says is removed. @throws StorageError; the signal's reason
   */
  async adopt(signal: AbortSignal): Promise<void> {
    const there = await this.#parts.storage.list();
    // One question for all: a start is no time to ask for each.
    const recorded = new Set(this.digests());
    for (const digest of there) if (!recorded.has(digest)) await this.#adopt(digest, signal);
  }

  async #adopt(digest: Digest, signal: AbortSignal): Promise<void> {
    const { catalog, clock, found, log, storage } = this.#parts;
    const blob = await storage.open(digest);
    if (blob === undefined) return;
    const hashed = await this.#hash(blob, signal, atOnce).finally(() => blob.close());
    // It may just have come, and be recorded as what it is.
    if (catalog.blobs.find(digest) !== undefined) return;
    const right = hashed?.hex === hexOf(digest);
    if (right) catalog.blobs.add({ digest, size: blob.size, usedAt: clock.wall() }, checksumsOf(hashed.pieces));
    else await storage.remove(digest);
    log.warn({ digest, right }, right ? 'a blob without a record was found' : 'a file that is no blob was removed');
    if (right) found?.();
  }

  async #run(signal: AbortSignal): Promise<void> {
    await this.#try('what has no record', signal, () => this.adopt(signal));
    for (let wait = restBefore; ; wait = restBetween) {
      await sleep(this.#parts.clock, wait, signal);
      const digests = fromAnywhere(this.digests());
      const slices = digests.length + this.#parts.catalog.usage.bytes() / slice;
      for (const digest of digests) {
        const rest = () => this.#rest(digest, roundPatience / slices, signal);
        await this.#try(digest, signal, () => this.#verify(digest, signal, rest));
      }
    }
  }

  /** A disk that fails at one of them is no reason to leave the others: it is said, and it goes on. */
  async #try(what: string, signal: AbortSignal, step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      signal.throwIfAborted();
      this.#parts.log.error({ what, error: describeError(error) }, 'a stored blob could not be looked at');
    }
  }

  /** Rests after a slice, and then until nothing else goes on, but for that no longer than `patience`. */
  async #rest(digest: Digest, patience: number, signal: AbortSignal): Promise<void> {
    const { busy, catalog, clock } = this.#parts;
    await sleep(clock, restAfterSlice, signal);
    const until = clock.now() + patience;
    // One that is evicted meanwhile takes its place on the disk until this has done.
    while (busy?.() && clock.now() < until && catalog.blobs.find(digest) !== undefined) {
      await sleep(clock, Math.min(lookAgain, until - clock.now()), signal);
    }
  }

  /** `undefined` where it cannot be read to its end. */
  async #hash(
    blob: StoredBlob,
    signal: AbortSignal,
    rest: Rest,
  ): Promise<{ readonly hex: string; readonly pieces: readonly Piece[] } | undefined> {
    const pieces: Piece[] = [];
    try {
      for (let to = 0; to < blob.size; ) {
        signal.throwIfAborted();
        to = Math.min(blob.size, to + slice);
        pieces.push(...(await blob.hash(to)));
        await rest();
      }
      const { hex, tail } = await blob.digest();
      return { hex, pieces: tail === undefined ? pieces : [...pieces, tail] };
    } catch (error) {
      signal.throwIfAborted();
      if (isShortage(error)) throw error;
      return undefined;
    }
  }
}

/** The same ones from another one on each time: who never gets to the end comes to all of them as well. */
function fromAnywhere(digests: readonly Digest[]): Digest[] {
  const first = Math.floor(Math.random() * digests.length);
  return [...digests.slice(first), ...digests.slice(0, first)];
}

function checksumsOf(pieces: readonly Piece[]): Uint32Array {
  return Uint32Array.from(pieces, ({ crc }) => crc);
}
