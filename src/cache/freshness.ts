import type { Clock } from '../async/clock.ts';
import type { TagRecord } from '../catalog/catalog.ts';

/** For how long what is known of a tag counts. Milliseconds. */
export interface FreshnessRules {
  readonly tagTtl: number;
  readonly negativeTtl: number;
  readonly staleIfError: number;
}

/** What may be done with what is known of a tag. */
export interface Freshness {
  /** It counts without asking the upstream. */
  readonly fresh: boolean;
  /** It counts when the upstream cannot be asked. */
  readonly usable: boolean;
}

/** How long ago something was recorded. */
export interface Age {
  /** Milliseconds, ≥ 0. */
  readonly ms: number;
  /** Whether it is as old as that, and not perhaps younger or older. */
  readonly certain: boolean;
}

/** Milliseconds by which the wall clock may be off without that being a step. */
const unsteady = 1000;

/** How old what is recorded with wall time is, though the wall clock may have been set back since. */
export class Ages {
  readonly #clock: Clock;
  /** Wall time at the origin of the monotonic one. */
  #origin: number;
  /** When (monotonic) the wall clock was found to have been set back last, or this was made. */
  #since: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
    this.#origin = clock.wall() - this.#since;
  }

  /**
   * Of what was recorded at `at` (epoch ms). What is from the future counts from when that was found out, so that no step
   * of the clock makes anything last for ever.
   */
  of(at: number): Age {
    this.#look();
    const ms = this.#clock.wall() - at;
    return ms >= 0 ? { ms, certain: true } : { ms: this.#clock.now() - this.#since, certain: false };
  }

  #look(): void {
    const now = this.#clock.now();
    const origin = this.#clock.wall() - now;
    if (Math.abs(origin - this.#origin) < unsteady) return;
    if (origin < this.#origin) this.#since = now;
    this.#origin = origin;
  }
}

/** Judges what is known of a tag. */
export function judge(record: TagRecord | undefined, ages: Pick<Ages, 'of'>, rules: FreshnessRules): Freshness {
  if (record === undefined) return { fresh: false, usable: false };
  const { ms, certain } = ages.of(record.checkedAt);
  const ttl = record.digest === undefined ? rules.negativeTtl : rules.tagTtl;
  return { fresh: certain && ms < ttl, usable: ms < rules.staleIfError };
}
