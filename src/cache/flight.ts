import { byteLength } from '../async/byte-length.ts';
import type { Cancel } from '../async/clock.ts';
import type { Interval } from '../http/range.ts';
import { type Digest, hexOf } from '../oci/digest.ts';
import { IntegrityError } from '../oci/errors.ts';
import type { Piece } from '../storage/driver.ts';
import type { BlobPart } from '../upstream/blob-source.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { Registry } from '../upstream/registry.ts';
import { Approach, type Attempt } from './approach.ts';
import { type Claim, Claims } from './claims.ts';
import { Deliveries } from './deliveries.ts';
import { Digesting } from './digesting.ts';
import { Expectation } from './expectation.ts';
import type { FlightContext, FlightPlan } from './flight-plan.ts';
import { InflightBlob } from './inflight.ts';
import { Keeping } from './keeping.ts';
import type { Demand, InflightReader, Turn } from './reader.ts';
import { Recovery } from './recovery.ts';
import { compareWants, type Want } from './wants.ts';

/** A flight that only served ranges does not download the rest: it waits a little for the next range, then stops. */
const idleAfterRanges = 10_000;

/**
 * One blob being fetched from one upstream, whoever asks for it. It is detached from all clients: it ends when the blob
 * is whole, when every way to it has failed, or when nobody has been reading for a while. What it has is kept.
 */
export class Flight {
  readonly #finished = Promise.withResolvers<unknown>();
  readonly registry: Registry;
  readonly digest: Digest;
  readonly blob: InflightBlob;
  readonly approach: Approach;
  readonly deliveries: Deliveries;
  /** Resolves when it has ended and let go of its file, with why, where the blob did not land in storage. */
  readonly over = this.#finished.promise;
  readonly #plan: FlightPlan;
  readonly #context: FlightContext;
  readonly #claims: Claims;
  readonly #digesting: Digesting;
  readonly #keeping: Keeping;
  readonly #expectation = new Expectation();
  readonly #ending = new AbortController();
  /** Whether the upstream takes Range requests; `undefined` before its first answer. */
  #ranged: boolean | undefined;
  #cancelIdle: Cancel | undefined;

  constructor(plan: FlightPlan, context: FlightContext) {
    this.registry = plan.registry;
    this.digest = plan.digest;
    this.#plan = plan;
    this.#context = context;
    this.deliveries = new Deliveries(context.clock, plan.recorded.length > 0);
    this.approach = new Approach(plan.registry, context.clock, plan.precaution);
    this.blob = new InflightBlob(plan.ingest, plan.size, context.recent, {
      held: (interval) => this.#held(interval),
      wanted: () => this.#readersChanged(),
      unwritable: (error) => this.#keeping.pass(error),
      closed: () => {
        this.#keeping.closed();
        context.closed();
      },
    });
    this.#claims = new Claims(this.blob.held, this.blob.written);
    this.#keeping = new Keeping(plan, this.blob, context, {
      dropped: (interval) => {
        this.blob.drop(interval);
        this.#claims.reopen(interval);
      },
    });
    this.#digesting = new Digesting(this.blob, {
      passed: (pieces) => this.#keeping.know(pieces),
      hashed: (hex) => void this.#land(hex).catch((error: unknown) => this.#over(error)),
      failed: (error) => void this.end(error),
    });
  }

  /** Nothing of it is kept: there is no room. */
  get passing(): boolean {
    return this.#keeping.passing !== undefined;
  }

  /** Whether it has all, and that is right. */
  get landed(): boolean {
    return this.blob.verified && !this.passing;
  }

  /** Whether it brings more, or has all. */
  get readable(): boolean {
    return !this.signal.aborted || this.landed;
  }

  /** Aborts when the flight ends. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** How many spans are being fetched, but for those that have stalled. */
  get spans(): number {
    return this.#claims.live;
  }

  /** Takes off: checks what was recorded earlier, and asks for the rest. */
  start(): void {
    for (const piece of this.#plan.recorded) this.#claims.reserve(piece);
    const recovery = new Recovery(this.#plan.ingest, this.#plan.recorded, {
      matched: (pieces) => this.#matched(pieces),
      lost: (pieces) => this.#lost(pieces),
      urgent: () => [...this.blob.readers].find(({ waiting }) => waiting)?.position,
    });
    void recovery.run(this.signal);
    this.#keeping.start();
    if (this.#plan.unkept) this.#keeping.pass(this.#plan.unkept);
    this.#armIdle();
    this.#digesting.advance();
  }

  /** Adds a reader. */
  read(demand: Demand): InflightReader {
    this.#expectation.whole ||= demand.whole;
    return this.blob.read(demand);
  }

  /** It will probably be read: brings it until what is returned is called, or nobody has read it for too long. */
  expect(turn: Turn): () => void {
    const forget = this.#expectation.add(turn);
    this.#readersChanged();
    return () => {
      if (forget()) this.#armIdle();
    };
  }

  /** What should be fetched next; `undefined` when there is nothing, or not now. */
  want(): Want | undefined {
    if (this.signal.aborted || this.blob.whole || this.approach.pause > 0) return undefined;
    // Before the first answer, and from an upstream without Range, there is one request at a time.
    if (this.#ranged !== true && this.#claims.live > 0) return undefined;
    const [want = this.#unread()] = this.#keeping.wants(this.#claims).toSorted(compareWants);
    return want !== undefined && this.#ranged === false ? { ...want, start: 0, end: Number.POSITIVE_INFINITY } : want;
  }

  /** Whether requests for a part make sense. */
  get ranged(): boolean {
    return this.#ranged !== false;
  }

  /** Whether nothing is known of the blob at the upstream yet: a first span is small. */
  get unanswered(): boolean {
    return this.#ranged === undefined;
  }

  claim(interval: Interval): Claim {
    return this.#claims.claim(interval);
  }

  release(claim: Claim): void {
    this.#claims.release(claim);
  }

  /** The upstream has begun to answer. @throws UpstreamError when this cannot be the blob. */
  accept(part: BlobPart, attempt: Attempt): void {
    const { total } = part;
    if (total !== undefined && this.blob.size !== undefined && total !== this.blob.size) {
      const message = `the blob has ${total} bytes, not ${this.blob.size}`;
      throw new UpstreamError(this.registry.name, 'invalid', message, { endpoint: attempt.endpoint });
    }
    this.#ranged = part.ranged;
    this.#settle(total);
  }

  /** A Range request for the very first bytes was answered with 416: the blob is empty, or Range is not understood. */
  refuseRanges(): void {
    this.#ranged = false;
  }

  /** Bytes have come. @throws StorageError, IntegrityError: then it ends */
  async deliver(claim: Claim, start: number, buffers: readonly Buffer[]): Promise<void> {
    const bytes = byteLength(buffers);
    if (claim.stalled) this.#claims.resume(claim);
    while (!this.#keeping.hasRoomFor(bytes)) await this.#keeping.waitForRoom(bytes);
    if (!this.ranged) await this.#keeping.passing?.turn(start, this.signal);
    // What comes after its end is not recorded any more.
    if (this.signal.aborted) return;
    await this.blob.write(start, buffers).catch((error: unknown) => {
      void this.end(error);
      throw error;
    });
    claim.position = start + bytes;
    this.#claims.delivered(claim);
  }

  /** A body without a length ended here: that is the size, as far as the upstream goes. */
  endOfStream(size: number): void {
    this.#settle(size);
  }

  /**
   * Nothing has come for this claim for too long: another attempt may be made at what it lacks.
   * @returns whether it goes on.
   */
  stalled(attempt: Attempt, claim: Claim, error: UpstreamError): boolean {
    const goesOn = this.approach.stalled(attempt, error);
    if (goesOn) this.#claims.stall(claim);
    else void this.end(error);
    return goesOn;
  }

  /** An attempt failed. Goes on in another way, later, or gives up. @returns whether it goes on. */
  failed(attempt: Attempt, error: UpstreamError): boolean {
    const goesOn = this.approach.failed(attempt, error);
    if (goesOn) this.approach.afterPause(() => this.#context.wanted());
    else void this.end(error);
    return goesOn;
  }

  /** Ends it. What it holds is recorded, for the next one. `error` is what its readers get; `undefined` when there are none. */
  async end(error: unknown): Promise<void> {
    if (this.signal.aborted) return void (await this.over);
    this.#close(error);
    await this.#keeping.suspend().catch(() => {});
    await this.#over(error);
  }

  #close(reason: unknown): void {
    this.#ending.abort(reason ?? new Error('the flight has ended'));
    this.#digesting.stop();
    this.#cancelIdle?.();
    this.#keeping.passing?.wake();
    if (reason !== undefined) this.blob.fail(reason instanceof Error ? reason : new Error(String(reason)));
  }

  /** All of it was hashed. The last byte goes out at once; then the blob is put away. */
  async #land(hex: string): Promise<void> {
    const right = hex === hexOf(this.digest);
    const error = right ? undefined : new IntegrityError(this.digest, `${this.digest.split(':', 1)[0]}:${hex}`);
    if (right) this.blob.verify();
    // What is not kept has to go on coming for those who have not read it yet.
    if (right && this.passing) return;
    this.#close(error);
    const outcome = right ? await this.#keeping.store().catch((cause: unknown) => cause) : error;
    if (!right) await this.#keeping.forget();
    await this.#over(outcome);
  }

  async #over(error: unknown): Promise<void> {
    this.#context.ended(error);
    await this.blob.release().catch(() => {});
    this.#finished.resolve(error);
  }

  /** The upstream has it, and so large it is. Where it does not say so, it may send no more than a descriptor said. */
  #settle(size = this.blob.size): void {
    if (size === undefined) return;
    if (this.blob.size === undefined) this.blob.settleSize(size);
    // Whoever brings bytes waits for it, and is told when it fails.
    this.#keeping.makeRoom(size).catch(() => {});
    this.#digesting.advance();
  }

  #held(interval: Interval): void {
    this.#claims.arrived(interval);
    this.#keeping.mark(interval);
    this.#digesting.advance();
  }

  #readersChanged(): void {
    this.#armIdle();
    this.#keeping.passing?.wake();
    this.#context.wanted();
  }

  #unread(): Want | undefined {
    if (!this.#isWanted) return undefined;
    const gap = this.#claims.gap({ start: 0, end: this.blob.size ?? Number.POSITIVE_INFINITY });
    return gap && this.#expectation.want(gap);
  }

  #matched(pieces: readonly Piece[]): void {
    for (const piece of pieces) this.blob.hold({ start: piece.start, end: piece.end });
    this.#keeping.recall(pieces);
  }

  #lost(pieces: readonly Piece[]): void {
    for (const piece of pieces) this.#claims.reopen(piece);
    this.#context.wanted();
  }

  get #isWanted(): boolean {
    return !this.passing && this.#expectation.isThere;
  }

  #armIdle(): void {
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    if (this.blob.readers.size > 0 || this.signal.aborted) return;
    const after = this.#isWanted ? this.#context.idleAfter : Math.min(this.#context.idleAfter, idleAfterRanges);
    this.#cancelIdle = this.#context.clock.after(after, () => void this.end(undefined));
  }
}
