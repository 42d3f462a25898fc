import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { judge } from '../../../src/cache/freshness.ts';
import { digestOf } from '../../../src/oci/digest.ts';

const digest = digestOf(Buffer.from('x'));
const rules = { tagTtl: 300, negativeTtl: 10, staleIfError: 7000 };
const wall = 1_000_000;

test('a tag is fresh for its time to live, and usable for longer', () => {
  const outcomes = [0, 299, 300, 6999, 7000].map((age) => judge({ digest, checkedAt: wall - age }, wall, rules));
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
    judge({ digest: undefined, checkedAt: wall - age }, wall, rules),
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
  assert.deepEqual(judge(undefined, wall, rules), { fresh: false, usable: false });
});

test('a record from the future is asked for again, but counts when that cannot be done', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), (ahead) => {
      assert.deepEqual(judge({ digest, checkedAt: wall + ahead }, wall, rules), { fresh: false, usable: true });
    }),
  );
});

test('with time it only loses', () => {
  const ms = fc.nat(10_000);
  const record = fc.record({ digest: fc.constantFrom(digest, undefined), checkedAt: fc.constant(wall) });
  const any = fc.record({ tagTtl: ms, negativeTtl: ms, staleIfError: ms });
  fc.assert(
    fc.property(record, any, ms, ms, (each, some, first, second) => {
      const early = judge(each, wall + Math.min(first, second), some);
      const late = judge(each, wall + Math.max(first, second), some);
      assert.ok(early.fresh || !late.fresh);
      assert.ok(early.usable || !late.usable);
    }),
  );
});
