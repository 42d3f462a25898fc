import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IntervalSet } from '../../../src/cache/spans.ts';
import type { Interval } from '../../../src/http/range.ts';

const size = 40;
const interval = fc.tuple(fc.nat(size), fc.nat(size)).map(([start, end]) => ({ start, end }));
const change = fc.record({ add: fc.boolean(), interval });

/** The same, offset by offset. */
class Model {
  readonly #held = new Array<boolean>(size).fill(false);

  set({ start, end }: Interval, held: boolean): void {
    if (start < end) this.#held.fill(held, start, end);
  }

  /** The runs of offsets that are held, or not, within an interval. */
  runs({ start, end }: Interval, held = true): Interval[] {
    const found: Interval[] = [];
    for (let at = start; at < end; at++) {
      if ((this.#held[at] ?? false) !== held) continue;
      const last = found.at(-1);
      if (last?.end === at) found[found.length - 1] = { start: last.start, end: at + 1 };
      else found.push({ start: at, end: at + 1 });
    }
    return found;
  }
}

function build(changes: readonly { add: boolean; interval: Interval }[]): { set: IntervalSet; model: Model } {
  const set = new IntervalSet();
  const model = new Model();
  for (const each of changes) {
    if (each.add) set.add(each.interval);
    else set.remove(each.interval);
    model.set(each.interval, each.add);
  }
  return { set, model };
}

const whole = { start: 0, end: size };

function check(name: string, property: (set: IntervalSet, model: Model, probe: Interval) => void): void {
  test(name, () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 25 }), interval, (changes, probe) => {
        const { set, model } = build(changes);
        property(set, model, probe);
      }),
      { numRuns: 500 },
    );
  });
}

check(
  'whatever is added and taken out, the intervals are the runs of what is held, and their sum is known',
  (set, model) => {
    assert.deepEqual(set.intervals, model.runs(whole));
    assert.equal(
      set.bytes,
      model.runs(whole).reduce((sum, { start, end }) => sum + end - start, 0),
    );
  },
);

check('what is held within an interval is found, cut to it', (set, model, probe) => {
  assert.deepEqual(set.within(probe), model.runs(probe));
});

check('the first gap within an interval is found', (set, model, probe) => {
  assert.deepEqual(set.firstGap(probe), model.runs(probe, false)[0]);
});

check('the end of the run that holds an offset is found, and the end of the run before', (set, model, { start }) => {
  const runs = model.runs(whole);
  assert.equal(set.endOfRun(start), runs.find((run) => run.start <= start && start < run.end)?.end ?? start);
  assert.equal(set.endBefore(start), runs.findLast((run) => run.end <= start)?.end ?? 0);
});

test('an interval may have no end', () => {
  const set = new IntervalSet();
  const end = Number.POSITIVE_INFINITY;
  set.add({ start: 10, end });
  set.remove({ start: 20, end: 30 });
  assert.deepEqual(set.intervals, [
    { start: 10, end: 20 },
    { start: 30, end },
  ]);
  assert.deepEqual(set.firstGap({ start: 15, end }), { start: 20, end: 30 });
  assert.equal(set.firstGap({ start: 30, end }), undefined);
  set.remove({ start: 15, end });
  assert.deepEqual(set.intervals, [{ start: 10, end: 15 }]);
  assert.deepEqual(set.firstGap({ start: 0, end }), { start: 0, end: 10 });
  assert.deepEqual(set.firstGap({ start: 12, end }), { start: 15, end });
});

test('offsets beyond 32 bits are counted exactly', () => {
  const set = new IntervalSet();
  const start = 2 ** 40;
  set.add({ start, end: start + 3 });
  set.add({ start: start + 3, end: start + 5 });
  assert.deepEqual([set.intervals, set.bytes], [[{ start, end: start + 5 }], 5]);
});
