import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { Nowhere } from '../../../src/cache/nowhere.ts';
import { IntervalSet } from '../../../src/cache/spans.ts';
import { Window, WindowBudget } from '../../../src/cache/window.ts';
import { digestOf, hexOf } from '../../../src/oci/digest.ts';
import { StorageError } from '../../../src/storage/driver.ts';

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

test('what is held can be read as it was written, wherever that was, and it is never too much', async () => {
  const write = fc.record({ start: fc.nat(content.length - 1), length: fc.integer({ min: 1, max: mib }) });
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 40 }), fc.nat(content.length), async (writes, needed) => {
      const held = new IntervalSet();
      const dropped = (run: { start: number; end: number }) => held.remove(run);
      const window = new Window(digest, crowded(), { needed: () => [needed], dropped }, new Nowhere());
      for (const { start, length } of writes) {
        const end = Math.min(content.length, start + length);
        await window.write(start, [content.subarray(start, start + 1), content.subarray(start + 1, end)]);
        held.add({ start, end });
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

test('what nobody needs any more goes first, then what is needed last', async () => {
  const gone: number[] = [];
  const events = { needed: () => [2 * mib], dropped: ({ start }: { start: number }) => void gone.push(start / mib) };
  const window = new Window(digest, crowded(), events, new Nowhere());
  for (const at of [0, 1, 4, 3]) await window.write(at * mib, [content.subarray(at * mib, (at + 1) * mib)]);
  await window.write(2 * mib, [content.subarray(2 * mib, 3.5 * mib)]);
  assert.ok(
    gone.every((at) => at < 2),
    String(gone),
  );
  await window.write(5 * mib, [content.subarray(5 * mib, 6 * mib)]);
  await window.write(6 * mib, [content.subarray(6 * mib, 7 * mib)]);
  assert.ok(gone.some((at) => at >= 4) && !gone.some((at) => at >= 2 && at < 4), String(gone));
});

test('the digest is that of all that came, and what has gone cannot be hashed', async () => {
  const window = new Window(digest, crowded(), { needed: () => [], dropped: () => {} }, new Nowhere());
  for (let at = 0; at < content.length; at += mib) {
    await window.write(at, [content.subarray(at, at + mib)]);
    await window.hash(at + mib);
  }
  assert.equal((await window.digest()).hex, hexOf(digest));
  const late = new Window(digest, crowded(), { needed: () => [], dropped: () => {} }, new Nowhere());
  for (let at = 0; at < content.length; at += mib) await late.write(at, [content.subarray(at, at + mib)]);
  await assert.rejects(late.hash(mib), StorageError);
  await assert.rejects(late.commit(), { code: 'ENOSPC' });
});
