import type { Interval } from '../http/range.ts';

/** A set of byte offsets, kept as disjoint half-open intervals in order, none touching the next. */
export class IntervalSet {
  #intervals: Interval[] = [];
  #bytes = 0;

  /** The intervals, in order. */
  get intervals(): readonly Interval[] {
    return this.#intervals;
  }

  /** How many offsets there are. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds an interval; an empty one changes nothing. */
  add({ start, end }: Interval): void {
    if (start >= end) return;
    const from = this.#firstEndingAtOrAfter(start);
    const to = this.#firstStartingAfter(end);
    const merged = this.#intervals.slice(from, to);
    const first = Math.min(start, merged[0]?.start ?? start);
    const last = Math.max(end, merged.at(-1)?.end ?? end);
    this.#intervals.splice(from, to - from, { start: first, end: last });
    this.#bytes += last - first - merged.reduce((sum, each) => sum + each.end - each.start, 0);
  }

  /** Takes an interval out. */
  remove({ start, end }: Interval): void {
    const from = this.#firstEndingAtOrAfter(start + 1);
    const to = this.#firstStartingAfter(end - 1);
    if (start >= end || from >= to) return;
    const touched = this.#intervals.slice(from, to);
    const left = { start: touched[0]?.start ?? start, end: start };
    const right = { start: end, end: touched.at(-1)?.end ?? end };
    const kept = [left, right].filter((each) => each.start < each.end);
    this.#intervals.splice(from, to - from, ...kept);
    this.#bytes -= touched.reduce((sum, each) => sum + each.end - each.start, 0);
    this.#bytes += kept.reduce((sum, each) => sum + each.end - each.start, 0);
  }

  /** The end of the run that holds `offset`; `offset` itself when it is not held. */
  endOfRun(offset: number): number {
    const run = this.#intervals[this.#firstEndingAtOrAfter(offset + 1)];
    return run !== undefined && run.start <= offset ? run.end : offset;
  }

  /** The end of the last run that ends at or before `offset`; 0 when there is none. */
  endBefore(offset: number): number {
    return this.#intervals[this.#firstEndingAtOrAfter(offset + 1) - 1]?.end ?? 0;
  }

  /** The first gap within `start` ≤ x < `end`; `undefined` when all of it is held. */
  firstGap({ start, end }: Interval): Interval | undefined {
    const from = this.endOfRun(start);
    if (from >= end) return undefined;
    const next = this.#intervals[this.#firstStartingAfter(from)];
    return { start: from, end: Math.min(end, next?.start ?? end) };
  }

  /** The first run that ends behind `offset`, without what lies before it; `undefined` when there is none. */
  next(offset: number): Interval | undefined {
    const run = this.#intervals[this.#firstEndingAtOrAfter(offset + 1)];
    return run && { start: Math.max(offset, run.start), end: run.end };
  }

  /** What is held of `start` ≤ x < `end`, in order. */
  within({ start, end }: Interval): Interval[] {
    const runs: Interval[] = [];
    for (let at = this.#firstEndingAtOrAfter(start + 1); at < this.#intervals.length; at++) {
      const run = this.#intervals[at];
      if (run === undefined || start >= end || run.start >= end) break;
      runs.push({ start: Math.max(start, run.start), end: Math.min(end, run.end) });
    }
    return runs;
  }

  /** The index of the first interval whose end is at or after `offset`. */
  #firstEndingAtOrAfter(offset: number): number {
    return this.#search((interval) => interval.end >= offset);
  }

  /** The index of the first interval whose start is after `offset`. */
  #firstStartingAfter(offset: number): number {
    return this.#search((interval) => interval.start > offset);
  }

  #search(matches: (interval: Interval) => boolean): number {
    let low = 0;
    let high = this.#intervals.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const interval = this.#intervals[middle];
      if (interval !== undefined && matches(interval)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
