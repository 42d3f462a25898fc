import type { Cancel } from '../async/clock.ts';
import type { Interval } from '../http/range.ts';
import { type Ingest, type Piece, StorageError } from '../storage/driver.ts';
import type { Claims } from './claims.ts';
import { asStorageError, tryWrite } from './disk-failure.ts';
import type { FlightPlan, KeepingContext } from './flight-plan.ts';
import type { InflightBlob } from './inflight.ts';
import { Journal } from './journal.ts';
import { Passing } from './passing.ts';
import type { Room } from './space.ts';
import { type Want, wantOf } from './wants.ts';

/** What is kept. */
export interface KeptPlan extends Pick<FlightPlan, 'digest' | 'name' | 'ingest' | 'room' | 'recorded'> {
  readonly registry: Pick<FlightPlan['registry'], 'name'>;
}

/** What its flight says and is told. */
export interface KeepingEvents {
  /** These bytes are no longer there: who needs them fetches them again. */
  dropped(interval: Interval): void;
}

const checkpointEvery = 2000;
const checkpointBytes = 64 * 1024 * 1024;
/** Of a blob whose size nobody has said, room is made for so many bytes more than have come. */
const roomAhead = 4 * 1024 * 1024;

/**
 * What becomes of the bytes of a flight: recorded as they come, stored when all are right, forgotten when they are not;
 * or passed on only, where there is no room.
 */
export class Keeping {
  readonly #plan: KeptPlan;
  readonly #blob: InflightBlob;
  readonly #context: KeepingContext;
  readonly #events: KeepingEvents;
  readonly #ingest: Ingest;
  readonly #journal: Journal;
  readonly #room: Room | undefined;
  #passing: Passing | undefined;
  readonly #recorded: number;
  #growing: Promise<void> | undefined;
  #ended = false;
  #cancelCheckpoint: Cancel = () => {};

  constructor(plan: KeptPlan, blob: InflightBlob, context: KeepingContext, events: KeepingEvents) {
    this.#plan = plan;
    this.#blob = blob;
    this.#context = context;
    this.#events = events;
    this.#ingest = plan.ingest;
    this.#room = plan.room;
    this.#recorded = plan.recorded.reduce((sum, { start, end }) => sum + end - start, 0);
    this.#journal = new Journal(context.catalog.partials, this.#ingest, blob.held);
  }

  /** How it is passed on; `undefined` while it is kept. */
  get passing(): Passing | undefined {
    return this.#passing;
  }

  /** What is to be fetched for its readers, of what nobody is fetching. */
  wants(claims: Claims): Want[] {
    const { readers, size } = this.#blob;
    const wants = this.#passing?.wants(claims) ?? [...readers].map((reader) => wantOf(reader, claims, size));
    return wants.filter((want) => want !== undefined);
  }

  /** From now on there is a checkpoint every 2 s. */
  start(): void {
    this.#cancelCheckpoint = this.#context.clock.after(checkpointEvery, () => {
      void this.#checkpoint();
      this.start();
    });
  }

  /** Whether so many more bytes may be written, or need no room. */
  hasRoomFor(bytes: number): boolean {
    const needed = this.#recorded + this.#blob.written.bytes + bytes;
    return this.#hasRoom(Math.min(needed, this.#blob.size ?? needed));
  }

  /** Resolves when there may be room for so many more bytes, or when it is known that there is none: they are passed on. */
  async waitForRoom(bytes: number): Promise<void> {
    await this.makeRoom(this.#blob.size ?? this.#recorded + this.#blob.written.bytes + bytes + roomAhead);
  }

  /** The upstream has begun to send a blob of so many bytes: only now others may have to go for it. */
  async makeRoom(bytes: number): Promise<void> {
    if (this.#hasRoom(bytes)) return;
    this.#growing ??= this.#grow(bytes).finally(() => {
      this.#growing = undefined;
    });
    await this.#growing;
  }

  #hasRoom(bytes: number): boolean {
    return this.#passing !== undefined || this.#ended || bytes <= (this.#room?.bytes ?? 0);
  }

  async #grow(bytes: number): Promise<void> {
    try {
      if ((await this.#room?.grow(bytes)) === false) this.pass(undefined);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.pass(error);
    }
  }

  /** Bytes cannot be written, or need not be tried: from now on they are passed on. */
  pass(error: unknown): void {
    if (this.#passing || this.#ended || !(error === undefined || error instanceof StorageError)) return;
    const { dropped } = this.#events;
    this.#passing = new Passing({ digest: this.#plan.digest, blob: this.#blob, dropped }, this.#context.windows);
    this.#blob.divert(this.#passing.window);
    void this.forget();
    this.#context.passes(error);
  }

  /** These bytes have come. */
  mark(interval: Interval): void {
    if (this.#passing) return;
    if (this.#room) this.#room.written = Math.max(this.#room.written, this.#blob.held.bytes);
    this.#journal.mark(interval);
    if (this.#journal.unrecorded >= checkpointBytes) void this.#checkpoint();
  }

  /** The checksums of these pieces were computed; each is all that its chunk holds. */
  know(pieces: readonly Piece[]): void {
    this.#passing?.wake();
    this.#journal.know(pieces);
  }

  /** These pieces were recorded before, and match. */
  recall(pieces: readonly Piece[]): void {
    this.#journal.recall(pieces);
  }

  /** Leaves the content as it is, for whoever goes on with it. What cannot be recorded is forgotten. */
  async suspend(): Promise<void> {
    this.#cancelCheckpoint();
    await this.#blob.settled();
    await this.#checkpoint();
    if (!this.#isRecorded()) return this.forget();
    this.#ended = true;
    this.#room?.release();
  }

  /** The content is whole and right: it becomes a stored blob. @throws StorageError, and then it is forgotten */
  async store(): Promise<void> {
    this.#cancelCheckpoint();
    const { catalog, clock } = this.#context;
    const { digest, name } = this.#plan;
    const size = this.#blob.size ?? this.#blob.held.bytes;
    this.#journal.close();
    try {
      await this.#ingest.commit(digest, size);
      catalog.blobs.add({ digest, size, usedAt: clock.wall() }, this.#journal.checksums(size));
    } catch (error) {
      // What has its place already is found again there, without a record.
      await this.forget();
      throw asStorageError(error);
    }
    tryWrite(() => catalog.partials.remove(name));
    this.#ended = true;
    this.#room?.release();
  }

  /** Nobody has the content open any more. */
  closed(): void {
    this.#room?.release();
  }

  /** The content is of no use to anybody. It takes its room as long as somebody reads it. */
  async forget(): Promise<void> {
    this.#cancelCheckpoint();
    this.#journal.close();
    // A record that stays is of nothing: the next start forgets it.
    tryWrite(() => this.#context.catalog.partials.remove(this.#plan.name));
    await this.#ingest.discard().catch(() => {});
    this.#ended = true;
    this.#room?.settle();
  }

  /** Losing a record loses nothing but time, so a failure is left to the next one. */
  async #checkpoint(): Promise<void> {
    const { name, registry, digest } = this.#plan;
    const { size } = this.#blob;
    if (size === undefined || this.#passing) return;
    const partial = { name, upstream: registry.name, digest, size, usedAt: this.#context.clock.wall() };
    await this.#journal.checkpoint(partial).catch(() => {});
  }

  #isRecorded(): boolean {
    const { name, registry, digest } = this.#plan;
    const { size, held } = this.#blob;
    // What an earlier flight left may not have been looked at yet.
    if (size === undefined || held.bytes + this.#recorded === 0 || this.#passing) return false;
    return this.#context.catalog.partials.find(registry.name, digest, size)?.name === name;
  }
}
