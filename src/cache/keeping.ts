import type { Cancel, Clock } from '../async/clock.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Interval } from '../http/range.ts';
import type { Digest } from '../oci/digest.ts';
import type { Ingest, Piece } from '../storage/driver.ts';
import type { InflightBlob } from './inflight.ts';
import { Journal } from './journal.ts';

/** Content that is arriving, and what it is called. */
export interface ArrivingContent {
  /** Its name in storage. */
  readonly name: string;
  readonly upstream: string;
  readonly digest: Digest;
  readonly ingest: Ingest;
  readonly blob: InflightBlob;
}

const checkpointEvery = 2000;
const checkpointBytes = 64 * 1024 * 1024;

/** What becomes of the bytes of a flight: recorded as they come, stored when all are right, forgotten when they are not. */
export class Keeping {
  readonly #content: ArrivingContent;
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #journal: Journal;
  #cancelCheckpoint: Cancel = () => {};

  constructor(content: ArrivingContent, catalog: Catalog, clock: Clock) {
    this.#content = content;
    this.#catalog = catalog;
    this.#clock = clock;
    this.#journal = new Journal(catalog.partials, content.ingest, content.blob.held);
  }

  /** From now on there is a checkpoint every 2 s. */
  start(): void {
    this.#cancelCheckpoint = this.#clock.after(checkpointEvery, () => {
      void this.#checkpoint();
      this.start();
    });
  }

  /** These bytes have come. */
  mark(interval: Interval): void {
    this.#journal.mark(interval);
    if (this.#journal.unrecorded >= checkpointBytes) void this.#checkpoint();
  }

  /** The checksums of these pieces were computed; each is all that its chunk holds. */
  know(pieces: readonly Piece[]): void {
    this.#journal.know(pieces);
  }

  /** These pieces were recorded before, and match. */
  recall(pieces: readonly Piece[]): void {
    this.#journal.recall(pieces);
  }

  /** Leaves the content as it is, for whoever goes on with it. What cannot be recorded is forgotten. */
  async suspend(): Promise<void> {
    this.#cancelCheckpoint();
    await this.#checkpoint();
    if (!this.#isRecorded()) await this.forget();
  }

  /** The content is whole and right: it becomes a stored blob. @throws StorageError, and then it is forgotten */
  async store(): Promise<void> {
    this.#cancelCheckpoint();
    const { blob, digest, ingest, name } = this.#content;
    const size = blob.size ?? blob.held.bytes;
    try {
      await ingest.commit(digest, size);
    } catch (error) {
      await this.forget();
      throw error;
    }
    this.#catalog.blobs.add({ digest, size, usedAt: this.#clock.wall() }, this.#journal.checksums(size));
    this.#catalog.partials.remove(name);
  }

  /** The content is of no use to anybody. */
  async forget(): Promise<void> {
    this.#cancelCheckpoint();
    this.#catalog.partials.remove(this.#content.name);
    await this.#content.ingest.discard().catch(() => {});
  }

  /** Losing a record loses nothing but time, so a failure is left to the next one. */
  async #checkpoint(): Promise<void> {
    const { name, upstream, digest, blob } = this.#content;
    if (blob.size === undefined) return;
    const partial = { name, upstream, digest, size: blob.size, usedAt: this.#clock.wall() };
    await this.#journal.checkpoint(partial).catch(() => {});
  }

  #isRecorded(): boolean {
    const { name, upstream, digest, blob } = this.#content;
    if (blob.size === undefined || blob.held.bytes === 0) return false;
    return this.#catalog.partials.find(upstream, digest, blob.size)?.name === name;
  }
}
