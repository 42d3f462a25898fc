import type { Lab } from './lab.ts';

/** What a bench is run with. */
export interface BenchContext {
  readonly lab: Lab;
  /** Measured rounds; there is one more that is not measured. */
  readonly rounds: number;
  /** Shortens sizes and durations of a smoke test; leaves them alone otherwise. */
  readonly scaled: (amount: number) => number;
}

/** One bench: starts what it needs, measures, and ends what it started. @throws Error when that cannot be done. */
export type Bench = (context: BenchContext) => Promise<readonly Measure[]>;

/** What one program should reach: a number, or a multiple of what another program reaches. */
export interface Target {
  readonly program: string;
  readonly bound: 'at least' | 'at most';
  readonly value: number;
  readonly times?: string;
}

/** One quantity, measured on several programs in alternation. */
export interface Measure {
  readonly title: string;
  readonly unit: string;
  /** By program: one number a round, in the same order for all. */
  readonly samples: ReadonlyMap<string, readonly number[]>;
  /** Programs that the others are compared with. */
  readonly references: readonly string[];
  readonly targets: readonly Target[];
}

/** Takes one quantity out of what the rounds brought. */
export function samplesOf<T>(
  rounds: ReadonlyMap<string, readonly T[]>,
  pick: (result: T) => number,
): Map<string, number[]> {
  return new Map([...rounds].map(([program, results]) => [program, results.map(pick)]));
}
