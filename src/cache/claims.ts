import type { Interval } from '../http/range.ts';
import { IntervalSet } from './spans.ts';

/** An interval that somebody is fetching. `position` moves on as bytes arrive. */
export interface Claim {
  readonly start: number;
  /** Infinite for a stream whose length is not known. */
  readonly end: number;
  position: number;
}

/** Which bytes of a blob nobody has, and nobody is fetching. */
export class Claims {
  readonly #held: IntervalSet;
  readonly #claims = new Set<Claim>();
  /** Held, claimed, or otherwise spoken for. */
  readonly #busy = new IntervalSet();

  /** `held` is what is there already; tell of what comes with `arrived`. */
  constructor(held: IntervalSet) {
    this.#held = held;
    for (const interval of held.intervals) this.#busy.add(interval);
  }

  /** How many are being fetched. */
  get size(): number {
    return this.#claims.size;
  }

  [Symbol.iterator](): IterableIterator<Claim> {
    return this.#claims[Symbol.iterator]();
  }

  /** Takes an interval: it will be fetched. */
  claim({ start, end }: Interval): Claim {
    const claim = { start, end, position: start };
    this.#claims.add(claim);
    this.#busy.add(claim);
    return claim;
  }

  /** Gives up what a claim has not fetched. */
  release(claim: Claim): void {
    if (this.#claims.delete(claim)) this.reopen({ start: claim.start, end: claim.end });
  }

  /** These bytes have come, from wherever. */
  arrived(interval: Interval): void {
    this.#busy.add(interval);
  }

  /** Keeps these bytes from being fetched, until they have come or are reopened. */
  reserve(interval: Interval): void {
    this.#busy.add(interval);
  }

  /** What is not held and not claimed of these bytes may be fetched again. */
  reopen(interval: Interval): void {
    this.#busy.remove(interval);
    for (const run of this.#held.within(interval)) this.#busy.add(run);
    for (const claim of this.#claims) this.#busy.add(claim);
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
