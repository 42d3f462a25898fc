import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Recent } from '../../../src/cache/recent.ts';

const chunk = 256 * 1024;
const content = Buffer.from(Array.from({ length: 20 * chunk + 123 }, (_, index) => (index * 31 + (index >> 9)) % 251));

/** Content, and where in it reads began. The next one fails when `fail` says so. */
function disk() {
  const state = { asked: [] as number[], fail: false };
  const read = async (buffer: Buffer, position: number) => {
    state.asked.push(position);
    const fails = state.fail;
    await new Promise((resolve) => setImmediate(resolve));
    if (fails) throw new RangeError('the disk fails');
    return content.copy(buffer, 0, position);
  };
  return { state, read, close: () => Promise.resolve() };
}

test('many readers read each chunk once, and each gets its own bytes', async () => {
  const recent = new Recent();
  const { state, ...blob } = disk();
  const name = recent.add();
  const readAll = async (step: number) => {
    const got: Buffer[] = [];
    for (let position = 0; position < content.length; ) {
      const buffer = Buffer.alloc(step);
      const read = await recent.read(name, blob, buffer, position);
      assert.ok(read > 0);
      got.push(buffer.subarray(0, read));
      position += read;
    }
    return Buffer.concat(got);
  };
  const all = await Promise.all([chunk, chunk / 2, 100_000, chunk * 2].map(readAll));
  for (const each of all) assert.ok(each.equals(content));
  assert.deepEqual(
    state.asked.toSorted((a, b) => a - b),
    Array.from({ length: 21 }, (_, index) => index * chunk),
  );
});

test('whoever waits gets what it asked for, however much else is read meanwhile', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(content.length - 1), { minLength: 100, maxLength: 300 }), async (positions) => {
      const recent = new Recent();
      // Of more blobs than there is memory for.
      const blobs = Array.from({ length: 8 }, () => ({ name: recent.add(), blob: disk() }));
      const reads = positions.map(async (position, index) => {
        const at = blobs[index % blobs.length];
        assert.ok(at);
        const buffer = Buffer.alloc(1000);
        const read = await recent.read(at.name, at.blob, buffer, position);
        assert.ok(read > 0);
        assert.ok(buffer.subarray(0, read).equals(content.subarray(position, position + read)));
      });
      await Promise.all(reads);
      for (const { name } of blobs) recent.forget(name);
    }),
    { numRuns: 20 },
  );
});

test('what could not be read is not remembered', async () => {
  const recent = new Recent();
  const { state, ...blob } = disk();
  const name = recent.add();
  state.fail = true;
  await assert.rejects(recent.read(name, blob, Buffer.alloc(10), 5), RangeError);
  state.fail = false;
  const buffer = Buffer.alloc(10);
  assert.equal(await recent.read(name, blob, buffer, 5), 10);
  assert.ok(buffer.equals(content.subarray(5, 15)));
});

test('a blob that nobody reads any more leaves nothing to another one', async () => {
  const recent = new Recent();
  const [first, second] = [recent.add(), recent.add()];
  const { state, ...blob } = disk();
  await recent.read(first, blob, Buffer.alloc(10), 0);
  await recent.read(second, blob, Buffer.alloc(10), 0);
  recent.forget(first);
  await recent.read(second, blob, Buffer.alloc(10), 0);
  assert.equal(state.asked.length, 2);
  await recent.read(first, blob, Buffer.alloc(10), 0);
  assert.equal(state.asked.length, 3);
});
