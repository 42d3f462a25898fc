import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ages, judge } from '../../../src/cache/freshness.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { FakeClock } from '../../support/clock.ts';

const digest = digestOf(Buffer.from('x'));
const rules = { tagTtl: 300, negativeTtl: 10, staleIfError: 7000 };
const now = 1_000_000;
const at = (wall: number) => ({ of: (recorded: number) => ({ ms: wall - recorded, certain: true }) });

test('a tag is fresh for its time to live, and usable for longer', () => {
  const outcomes = [0, 299, 300, 6999, 7000].map((age) => judge({ digest, checkedAt: now - age }, at(now), rules));
  assert.deepEqual(outcomes, [
    { fresh: true, usable: true },
    { fresh: true, usable: true },
    { fresh: false, usable: true },
    { fresh: false, usable: true },
    { fresh: false, usable: false },
  ]);
});

test('an absence is fresh for a shorter time, and usable as long', () => {
  const outcomes = [0, 9, 10, 6999, 7000].map((age) =>
    judge({ digest: undefined, checkedAt: now - age }, at(now), rules),
  );
  assert.deepEqual(
    outcomes.map(({ fresh }) => fresh),
    [true, true, false, false, false],
  );
  assert.deepEqual(
    outcomes.map(({ usable }) => usable),
    [true, true, true, true, false],
  );
});

test('what was never asked for is neither', () => {
  assert.deepEqual(judge(undefined, at(now), rules), { fresh: false, usable: false });
});

test('a record from the future is asked for again, but counts for its time when that cannot be done', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10 ** 12 }), (ahead) => {
      const clock = new FakeClock();
      const ages = new Ages(clock);
      const record = { digest, checkedAt: clock.wall() + 10 ** 6 + ahead };
      assert.deepEqual(judge(record, ages, rules), { fresh: false, usable: true });
      clock.advance(6999);
      assert.deepEqual(judge(record, ages, rules), { fresh: false, usable: true });
      clock.advance(1);
      assert.deepEqual(judge(record, ages, rules), { fresh: false, usable: false });
    }),
  );
});

test('with time it only loses', () => {
  const ms = fc.nat(10_000);
  const record = fc.record({ digest: fc.constantFrom(digest, undefined), checkedAt: fc.constant(now) });
  const any = fc.record({ tagTtl: ms, negativeTtl: ms, staleIfError: ms });
  fc.assert(
    fc.property(record, any, ms, ms, (each, some, first, second) => {
      const early = judge(each, at(now + Math.min(first, second)), some);
      const late = judge(each, at(now + Math.max(first, second)), some);
      assert.ok(early.fresh || !late.fresh);
      assert.ok(early.usable || !late.usable);
    }),
  );
});
