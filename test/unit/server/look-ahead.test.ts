import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BufferBudget } from '../../../src/async/buffers.ts';
import type { BlobReader } from '../../../src/cache/reader.ts';
import { LookAhead } from '../../../src/server/look-ahead.ts';
import { StorageError } from '../../../src/storage/driver.ts';

const piece = 16 * 1024;
const content = Buffer.from(Array.from({ length: 10 * piece + 123 }, (_, index) => (index * 31) % 251));

/** For one stream, which moves `piece` at a time. */
function budgetOfOne(): BufferBudget {
  const budget = new BufferBudget(2 * piece);
  budget.join();
  return budget;
}

/** Reads `content`, of which `there()` bytes are there; `asked` tells where reads began. */
function readerOf(there: () => number, asked: number[] = []): BlobReader {
  return {
    end: content.length,
    ready: (position) => Math.max(position, there()),
    arrival: () => Promise.resolve(),
    wake: () => {},
    read: (buffer, position) => {
      asked.push(position);
      return Promise.resolve(content.copy(buffer, 0, position, Math.min(there(), position + buffer.length)));
    },
    close: () => Promise.resolve(),
  };
}

test('the content comes in order and whole, wherever it is stopped and however it arrives', async () => {
  const steps = fc.array(fc.record({ arrives: fc.nat(3 * piece), let: fc.nat(2 * piece) }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(steps, async (turns) => {
      let there = 1;
      const ahead = new LookAhead(
        readerOf(() => there),
        budgetOfOne(),
      );
      const got: Buffer[] = [];
      let position = 0;
      for (const turn of [...turns, { arrives: content.length, let: content.length }]) {
        there = Math.min(content.length, there + turn.arrives);
        const limit = Math.min(there, position + turn.let);
        while (position < limit) {
          const bytes = await ahead.read(position, limit);
          assert.ok(bytes.length > 0 && position + bytes.length <= limit);
          got.push(Buffer.from(bytes));
          position += bytes.length;
        }
      }
      await ahead.close();
      assert.ok(Buffer.concat(got).equals(content));
    }),
    { numRuns: 50 },
  );
});

test('the next piece is being read before it is asked for, when all of it is there', async () => {
  const asked: number[] = [];
  const ahead = new LookAhead(
    readerOf(() => 3 * piece - 1, asked),
    budgetOfOne(),
  );
  await ahead.read(0, content.length);
  assert.deepEqual(asked, [0, piece]);
  await ahead.read(piece, content.length);
  assert.deepEqual(asked, [0, piece]);
  await ahead.close();
});

test('what was read ahead is there, though the reader has it no more', async () => {
  let readTo = 0;
  const reader = readerOf(() => 3 * piece);
  const forgetful: BlobReader = {
    ...reader,
    ready: (position) => (position < readTo ? position : reader.ready(position)),
    read: async (buffer, position) => {
      readTo = position + buffer.length;
      return reader.read(buffer, position);
    },
  };
  const ahead = new LookAhead(forgetful, budgetOfOne());
  assert.equal(ahead.ready(0), 3 * piece);
  await ahead.read(0, 3 * piece);
  for (const position of [1, piece, 2 * piece]) assert.equal(ahead.ready(position), 3 * piece);
  assert.equal((await ahead.read(piece, 3 * piece)).length, piece);
  assert.equal(ahead.ready(piece + 1), 3 * piece);
  await ahead.close();
});

test('content that is shorter than recorded is an error, not an endless wait', async () => {
  const short = { ...readerOf(() => content.length), read: () => Promise.resolve(0) };
  const ahead = new LookAhead(short, budgetOfOne());
  await assert.rejects(ahead.read(0, content.length), StorageError);
  await ahead.close();
});

test('what was leased is given back, and no buffer while it is read into', async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  let reads = 0;
  const slow = { ...readerOf(() => content.length), read: () => (++reads === 1 ? Promise.resolve(piece) : promise) };
  const budget = new BufferBudget(4 * piece);
  const released: Buffer[] = [];
  const release = budget.release.bind(budget);
  budget.release = (buffer) => {
    released.push(buffer);
    release(buffer);
  };
  budget.join();
  budget.join();
  const ahead = new LookAhead(slow, budget);
  await ahead.read(0, content.length);
  const closed = ahead.close();
  await Promise.resolve();
  assert.equal(reads, 2);
  assert.ok(released.length < 2);
  resolve(piece);
  await closed;
  assert.equal(released.length, 2);
});
