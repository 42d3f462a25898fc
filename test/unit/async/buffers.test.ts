import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BufferBudget } from '../../../src/async/buffers.ts';

const kib = 1024;
const mib = 1024 * kib;

test('pieces are powers of two from 16 KiB to 1 MiB, and those of all streams stay within the budget', () => {
  fc.assert(
    fc.property(fc.integer({ min: 64 * kib, max: 256 * mib }), fc.nat(3000), (limit, streams) => {
      const budget = new BufferBudget(limit);
      for (let count = 0; count < streams; count++) budget.join();
      assert.equal(budget.streams, streams);
      assert.ok(Number.isInteger(Math.log2(budget.piece)));
      assert.ok(budget.piece >= 16 * kib && budget.piece <= mib);
      if (budget.piece > 16 * kib) assert.ok(budget.piece * streams * 2 <= limit);
    }),
  );
});

test('a stream that has ended leaves its share to the others', () => {
  const budget = new BufferBudget(4 * mib);
  const leave = Array.from({ length: 8 }, () => budget.join());
  assert.equal(budget.piece, 256 * kib);
  for (const each of leave.slice(1)) each();
  assert.deepEqual([budget.streams, budget.piece], [1, mib]);
});

test('a buffer is large enough, and nobody else’s as long as it is leased', () => {
  const turn = fc.oneof(
    fc.record({ lease: fc.integer({ min: 1, max: 64 * kib }) }),
    fc.record({ giveBack: fc.nat(20) }),
  );
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 60 }), (turns) => {
      const budget = new BufferBudget(512 * kib);
      const leased: Buffer[] = [];
      for (const each of turns) {
        if ('lease' in each) {
          const buffer = budget.lease(each.lease);
          assert.ok(buffer.length >= each.lease);
          assert.ok(leased.every((other) => other.buffer !== buffer.buffer));
          leased.push(buffer);
        } else {
          const [buffer] = leased.splice(each.giveBack, 1);
          if (buffer !== undefined) budget.release(buffer);
        }
      }
    }),
    { numRuns: 50 },
  );
});

test('what is given back is used again, within the budget; of that, idle streams leave a quarter', () => {
  const budget = new BufferBudget(256 * kib);
  const leave = budget.join();
  const many = Array.from({ length: 20 }, () => budget.lease(16 * kib));
  for (const buffer of many) budget.release(buffer);
  const again = Array.from({ length: 20 }, () => budget.lease(16 * kib));
  assert.equal(again.filter((buffer) => many.includes(buffer)).length, 16);
  for (const buffer of again) budget.release(buffer);
  leave();
  const later = Array.from({ length: 20 }, () => budget.lease(16 * kib));
  assert.equal(later.filter((buffer) => again.includes(buffer)).length, 4);
});

test('idle buffers make room for those of another size', () => {
  const budget = new BufferBudget(256 * kib);
  budget.join();
  const small = Array.from({ length: 16 }, () => budget.lease(16 * kib));
  for (const buffer of small) budget.release(buffer);
  budget.release(budget.lease(128 * kib));
  const again = Array.from({ length: 16 }, () => budget.lease(16 * kib));
  assert.equal(again.filter((buffer) => small.includes(buffer)).length, 8);
});
