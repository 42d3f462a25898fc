import type { Interval } from '../http/range.ts';
import { IntervalSet } from './spans.ts';

/** An interval that somebody is fetching. `position` moves on as bytes arrive. */
export class Claim {
  readonly start: number;
  /** Infinite for a stream whose length is not known. */
  readonly end: number;
  position: number;
  /** Nothing has come for too long: others may fetch what is missing too. */
  stalled = false;
  readonly #lost = new AbortController();

  /** Made by `Claims.claim`. */
  constructor({ start, end }: Interval) {
    this.start = start;
    this.end = end;
    this.position = start;
  }

  /** Aborts when somebody else has been faster. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Somebody else has been faster. */
  lose(): void {
    this.#lost.abort(new Error('another one was faster'));
  }
}

/** Which bytes of a blob nobody has, and nobody is fetching. */
export class Claims {
  readonly #held: IntervalSet;
  readonly #written: IntervalSet;
  readonly #claims = new Set<Claim>();
  /** Held, claimed, or otherwise spoken for. */
  readonly #busy = new IntervalSet();

  /** `held` is what is there already, and `written` what need not come again; tell of what comes with `arrived`. */
  constructor(held: IntervalSet, written = held) {
    this.#held = held;
    this.#written = written;
    for (const interval of held.intervals) this.#busy.add(interval);
  }

  /** How many are being fetched. */
  get size(): number {
    return this.#claims.size;
  }

  /** How many are being fetched, and are not stalled. */
  get live(): number {
    return [...this.#claims].filter(({ stalled }) => !stalled).length;
  }

  [Symbol.iterator](): IterableIterator<Claim> {
    return this.#claims[Symbol.iterator]();
  }

  /** Takes an interval: it will be fetched. */
  claim(interval: Interval): Claim {
    const claim = new Claim(interval);
    this.#claims.add(claim);
    this.#busy.add(claim);
    return claim;
  }

  /** Gives up what a claim has not fetched. */
  release(claim: Claim): void {
    if (this.#claims.delete(claim)) this.reopen({ start: claim.start, end: claim.end });
  }

  /**
   * Nothing comes for this claim: what it lacks may be fetched by another one. Of those that were fetching the same
   * bytes and have stalled before, none is waited for any longer.
   */
  stall(claim: Claim): void {
    for (const other of this.#claims) {
      if (other.stalled && other.position <= claim.position && claim.position < other.end) other.lose();
    }
    claim.stalled = true;
    this.reopen({ start: claim.position, end: claim.end });
  }

  /** Something comes for this claim again. */
  resume(claim: Claim): void {
    claim.stalled = false;
    this.#busy.add({ start: claim.position, end: claim.end });
  }

  /** Bytes have come for this claim: whoever was waiting for the same has lost. */
  delivered(claim: Claim): void {
    for (const other of this.#claims) {
      if (other !== claim && this.#held.endOfRun(other.position) > other.position) other.lose();
    }
  }

  /** These bytes have come, from wherever. */
  arrived(interval: Interval): void {
    this.#busy.add(interval);
  }

  /** Keeps these bytes from being fetched, until they have come or are reopened. */
  reserve(interval: Interval): void {
    this.#busy.add(interval);
  }

  /** What is not written and not claimed of these bytes may be fetched again. */
  reopen(interval: Interval): void {
    this.#busy.remove(interval);
    for (const run of this.#written.within(interval)) this.#busy.add(run);
    for (const claim of this.#claims) if (!claim.stalled) this.#busy.add(claim);
  }

  /** The first bytes of this interval that are to be fetched; `undefined` when there are none. */
  gap(interval: Interval): Interval | undefined {
    return this.#busy.firstGap(interval);
  }

  /** Where the gap that holds `offset` begins. */
  startOfGap(offset: number): number {
    return this.#busy.endBefore(offset);
  }
}
