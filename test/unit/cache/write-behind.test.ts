import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WriteBehind } from '../../../src/cache/write-behind.ts';

interface Write {
  readonly start: number;
  readonly bytes: Buffer;
}

/** A file in memory: remembers every write, and fails at those that a test names. */
function openFile(failing?: number) {
  const writes: Write[] = [];
  let count = 0;
  let running = 0;
  const write = async (start: number, buffers: readonly Buffer[]) => {
    assert.equal(running++, 0, 'one write at a time');
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    if (count++ === failing) throw new RangeError('the disk is full');
    writes.push({ start, bytes: Buffer.concat(buffers) });
  };
  return { writes, write };
}

test('all that is taken is written in order, each byte at its place', async () => {
  const pushes = fc.array(fc.tuple(fc.uint8Array({ maxLength: 50 }), fc.boolean()));
  await fc.assert(
    fc.asyncProperty(fc.nat(1000), pushes, async (start, all) => {
      const { writes, write } = openFile();
      const behind = new WriteBehind(start, write);
      for (const [bytes, waits] of all) {
        await behind.push(Buffer.from(bytes));
        if (waits) await behind.flush();
      }
      await behind.flush();
      let position = start;
      for (const each of writes) {
        assert.equal(each.start, position);
        position += each.bytes.length;
      }
      const written = Buffer.concat(writes.map(({ bytes }) => bytes));
      assert.deepEqual(written, Buffer.concat(all.map(([bytes]) => bytes)));
    }),
    { numRuns: 50 },
  );
});

test('what comes while a write runs goes into one write', async () => {
  const { writes, write } = openFile();
  const behind = new WriteBehind(0, write);
  for (let count = 0; count < 100; count++) await behind.push(Buffer.alloc(100));
  await behind.flush();
  assert.ok(writes.length < 10, `${writes.length} writes`);
});

test('a source is made to wait while more than 1 MiB is unwritten', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const behind = new WriteBehind(0, () => promise);
  let taken = 0;
  const source = (async () => {
    for (let count = 0; count < 40; count++) {
      await behind.push(Buffer.alloc(64 * 1024));
      taken++;
    }
  })();
  for (let turn = 0; turn < 100; turn++) await new Promise((next) => setImmediate(next));
  assert.equal(taken, 16);
  resolve();
  await source;
  await behind.flush();
});

test('after a write has failed nothing more is written, and whoever asks is told why', async () => {
  const { writes, write } = openFile(1);
  const behind = new WriteBehind(0, write);
  await behind.push(Buffer.from('one'));
  await behind.flush();
  await behind.push(Buffer.from('two'));
  await assert.rejects(behind.flush(), RangeError);
  await assert.rejects(behind.push(Buffer.from('three')), RangeError);
  await assert.rejects(behind.flush(), RangeError);
  assert.deepEqual(
    writes.map(({ bytes }) => bytes.toString()),
    ['one'],
  );
});
