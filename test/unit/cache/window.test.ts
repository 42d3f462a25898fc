import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { Nowhere } from '../../../src/cache/nowhere.ts';
import { IntervalSet } from '../../../src/cache/spans.ts';
import { Window, WindowBudget } from '../../../src/cache/window.ts';
import type { Interval } from '../../../src/http/range.ts';
import { digestOf, hexOf } from '../../../src/oci/digest.ts';
import { IntegrityError } from '../../../src/oci/errors.ts';

const mib = 2 ** 20;
const block = 256 * 1024;
const content = randomBytes(12 * mib);
const digest = digestOf(content);

/** A budget that has so many windows that each has 4 MiB. */
function crowded(): WindowBudget {
  const budget = new WindowBudget();
  for (let count = 0; count < 20; count++) budget.join();
  return budget;
}

/** A window over nothing, and what is held of it. */
function open(needed: () => number[], dropped: (run: Interval) => void = () => {}) {
  const held = new IntervalSet();
  const drop = (run: Interval) => {
    held.remove(run);
    dropped(run);
  };
  const below = new Nowhere();
  const window = new Window(digest, crowded(), { needed, dropped: drop }, { held, below });
  const take = (start: number, buffers: readonly Buffer[]) => {
    for (const run of window.take(start, buffers)) held.add(run);
  };
  const put = (start: number, end: number) =>
    take(start, [content.subarray(start, start + 1), content.subarray(start + 1, end)]);
  return { window, held, take, put };
}

test('what is held can be read as it was written, wherever that was, and it is never too much', async () => {
  const write = fc.record({ start: fc.nat(content.length - 1), length: fc.integer({ min: 1, max: mib }) });
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 40 }), fc.nat(content.length), async (writes, needed) => {
      const { window, held, put } = open(() => [needed]);
      for (const { start, length } of writes) {
        put(start, start + length);
        const blocks = new Set(held.intervals.flatMap((run) => blocksOf(run)));
        assert.ok(blocks.size <= (4 * mib) / block, `${blocks.size} blocks`);
      }
      for (const { start, end } of held.intervals) {
        const buffer = Buffer.alloc(end - start);
        assert.equal(await window.read(buffer, start), end - start);
        assert.ok(buffer.equals(content.subarray(start, end)));
      }
    }),
    { numRuns: 30 },
  );
});

function blocksOf({ start, end }: { start: number; end: number }): number[] {
  const first = Math.floor(start / block);
  return Array.from({ length: Math.ceil(end / block) - first }, (_, index) => first + index);
}

test('what nobody needs any more goes first, then what is needed last', () => {
  const gone: number[] = [];
  const { put } = open(
    () => [2 * mib],
    ({ start }) => void gone.push(start / mib),
  );
  for (const at of [0, 1, 4, 3]) put(at * mib, (at + 1) * mib);
  put(2 * mib, 3.5 * mib);
  assert.ok(
    gone.every((at) => at < 2),
    String(gone),
  );
  put(5 * mib, 6 * mib);
  put(6 * mib, 7 * mib);
  assert.ok(gone.some((at) => at >= 4) && !gone.some((at) => at >= 2 && at < 4), String(gone));
});

test('the digest is that of all that came', async () => {
  const { window, put } = open(() => []);
  for (let at = 0; at < content.length; at += mib) {
    put(at, at + mib);
    while (window.hashed < at + mib) await window.hash(at + mib);
  }
  assert.equal((await window.digest()).hex, hexOf(digest));
});

test('a block that comes again cannot be read before it is what it was', () => {
  const { held, put, take } = open(() => []);
  put(1000, block - 1000);
  for (let at = mib; at < 8 * mib; at += mib) put(at, at + mib);
  assert.equal(held.next(0)?.start, 4 * mib);
  put(0, block - 2000);
  assert.equal(held.endOfRun(0), 0);
  put(block - 2000, block);
  assert.equal(held.endOfRun(0), block);
  for (let at = mib; at < 8 * mib; at += mib) put(at, at + mib);
  const other = Buffer.from(content.subarray(0, block));
  other.writeUInt8(other.readUInt8(77) ^ 1, 77);
  take(0, [other.subarray(0, 1000)]);
  assert.throws(() => take(1000, [other.subarray(1000)]), IntegrityError);
  assert.equal(held.endOfRun(0), 0);
});

test('what is here is hashed as it is now, though it goes while what lies below is read', async () => {
  const held = new IntervalSet();
  const slow = Promise.withResolvers<void>();
  const below = Object.assign(new Nowhere(), {
    read: async (buffer: Buffer, at: number) => {
      await slow.promise;
      return content.copy(buffer, 0, at, at + buffer.length);
    },
  });
  const dropped = (run: Interval) => held.remove(run);
  const window = new Window(digest, crowded(), { needed: () => [], dropped }, { held, below });
  const put = (start: number, end: number) => {
    for (const run of window.take(start, [content.subarray(start, end)])) held.add(run);
  };
  held.add({ start: 0, end: 1000 });
  put(1000, block);
  const hashed = window.hash(block);
  for (let at = mib; at < 6 * mib; at += mib) put(at, at + mib);
  assert.equal(held.endOfRun(0), 1000);
  slow.resolve();
  await hashed;
  const expected = createHash('sha256').update(content.subarray(0, block)).digest('hex');
  assert.deepEqual([window.hashed, (await window.digest()).hex], [block, expected]);
});
