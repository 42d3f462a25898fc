import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fresh } from '../../../src/cache/fresh.ts';

const kib = 1024;
const size = 300;
const content = Buffer.from(Array.from({ length: size }, (_, index) => index % 251));

const run = fc
  .tuple(fc.nat(size), fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 }))
  .map(([start, lengths]) => {
    const buffers: Buffer[] = [];
    let end = start;
    for (const length of lengths) {
      buffers.push(content.subarray(end, end + length));
      end = Math.min(size, end + length);
    }
    return { start, end, buffers };
  });

test('what is read is what was added at that place, and nothing of what was taken out', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(run, fc.boolean())), fc.nat(size), fc.nat(50), (runs, position, length) => {
      const fresh = new Fresh();
      for (const [{ start, buffers }, stays] of runs) {
        const forget = fresh.add(start + 1, buffers);
        if (!stays) forget();
      }
      const target = Buffer.alloc(length);
      const read = fresh.read(target, position + 1);
      assert.deepEqual(target.subarray(0, read), content.subarray(position, position + read));
      const there = runs.filter(([{ start, end }, stays]) => stays && start <= position && position < end);
      const most = Math.max(0, ...there.map(([{ end }]) => end - position));
      assert.ok(read <= Math.min(length, most));
      assert.equal(read > 0, length > 0 && most > 0);
    }),
  );
});

test('the beginning stays, and only that', () => {
  const fresh = new Fresh();
  const buffers = [Buffer.alloc(40 * kib, 1), Buffer.alloc(40 * kib, 2)];
  const forget = fresh.add(0, buffers);
  forget();
  for (const buffer of buffers) buffer.fill(9);
  const target = Buffer.alloc(100 * kib);
  assert.equal(fresh.read(target, 0), 64 * kib);
  assert.deepEqual(target.subarray(0, 64 * kib), Buffer.concat([Buffer.alloc(40 * kib, 1), Buffer.alloc(24 * kib, 2)]));
  assert.equal(fresh.read(target, 64 * kib), 0);
  fresh.dropBeginning();
  assert.equal(fresh.read(target, 0), 0);
});
