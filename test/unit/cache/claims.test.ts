import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Claim, Claims } from '../../../src/cache/claims.ts';
import { IntervalSet } from '../../../src/cache/spans.ts';
import type { Interval } from '../../../src/http/range.ts';

const size = 30;
const interval = fc.tuple(fc.nat(size), fc.nat(size)).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));
const offsets = Array.from({ length: size }, (_, at) => at);
const covers = ({ start, end }: Interval, at: number) => start <= at && at < end;

/** Who has, or fetches, each offset. */
class Scene {
  readonly held = new IntervalSet();
  readonly claims: Claims;
  readonly open: Claim[] = [];
  /** Offsets that are not to be fetched. */
  busy: boolean[];

  constructor(start: readonly Interval[]) {
    for (const each of start) this.held.add(each);
    this.claims = new Claims(this.held);
    this.busy = offsets.map((at) => start.some((each) => covers(each, at)));
  }

  take(what: string, where: Interval): void {
    if (what === 'release') this.#release(where);
    else if (what === 'reopen') this.#reopen(where);
    else this.#fill(what, where);
  }

  #fill(what: string, where: Interval): void {
    if (what === 'claim') this.open.push(this.claims.claim(where));
    else if (what === 'reserve') this.claims.reserve(where);
    else {
      this.held.add(where);
      this.claims.arrived(where);
    }
    this.busy = this.busy.map((busy, at) => busy || covers(where, at));
  }

  #release({ start }: Interval): void {
    const [claim] = this.open.splice(start % Math.max(1, this.open.length), 1);
    if (claim === undefined) return;
    this.claims.release(claim);
    this.#free(claim);
  }

  #reopen(where: Interval): void {
    this.claims.reopen(where);
    this.#free(where);
  }

  #free(where: Interval): void {
    const taken = [...this.held.intervals, ...this.open];
    this.busy = this.busy.map((busy, at) => (covers(where, at) ? taken.some((each) => covers(each, at)) : busy));
  }
}

const step = fc.tuple(fc.constantFrom('claim', 'release', 'arrived', 'reserve', 'reopen'), interval);

test('nothing that is held, claimed or reserved is fetched again; all else is, also after claims were given up', () => {
  fc.assert(
    fc.property(
      fc.array(interval, { maxLength: 3 }),
      fc.array(step, { maxLength: 20 }),
      interval,
      (start, steps, probe) => {
        const scene = new Scene(start);
        for (const [what, where] of steps) scene.take(what, where);
        const gaps: number[] = [];
        for (let gap = scene.claims.gap(probe); gap; gap = scene.claims.gap({ start: gap.end, end: probe.end })) {
          gaps.push(...offsets.slice(gap.start, gap.end));
        }
        assert.deepEqual(
          gaps,
          offsets.filter((at) => covers(probe, at) && !scene.busy[at]),
        );
        assert.equal(scene.claims.size, scene.open.length);
        assert.deepEqual([...scene.claims], scene.open);
      },
    ),
    { numRuns: 500 },
  );
});

test('the beginning of a gap is the end of what is taken before it', () => {
  fc.assert(
    fc.property(fc.array(interval), fc.nat(size - 1), (taken, at) => {
      const scene = new Scene(taken);
      fc.pre(!scene.busy[at]);
      assert.equal(scene.claims.startOfGap(at), scene.busy.lastIndexOf(true, at) + 1);
    }),
  );
});

test('a claim begins where it was made, and is released once', () => {
  const claims = new Claims(new IntervalSet());
  const claim = claims.claim({ start: 10, end: 20 });
  assert.deepEqual([claim.start, claim.end, claim.position, claim.stalled], [10, 20, 10, false]);
  claims.release(claim);
  claims.reserve({ start: 10, end: 20 });
  claims.release(claim);
  assert.equal(claims.gap({ start: 10, end: 20 }), undefined);
});

test('a stream whose end is not known takes all that is left', () => {
  const claims = new Claims(new IntervalSet());
  const claim = claims.claim({ start: 5, end: Number.POSITIVE_INFINITY });
  assert.deepEqual(claims.gap({ start: 0, end: 100 }), { start: 0, end: 5 });
  claims.release(claim);
  assert.deepEqual(claims.gap({ start: 0, end: 100 }), { start: 0, end: 100 });
});
