import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { InflightBlob } from '../../../src/cache/inflight.ts';
import { Recent, sharedFrom } from '../../../src/cache/recent.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { DiskStorage } from '../../../src/storage/disk.ts';
import { tempDir } from '../../support/temp.ts';

const bytes = Buffer.from('a blob that has come');
const whole = { intervals: [{ start: 0, end: bytes.length }], whole: false, share: { servedAt: 0 }, layer: 0 };

/** A blob of so many bytes that is still to come, and how often it was closed. */
async function expected(t: TestContext, size: number): Promise<{ blob: InflightBlob; closings: () => number }> {
  const storage = await DiskStorage.open(tempDir());
  t.after(() => storage.close());
  const ingest = await storage.ingest('arriving', digestOf(bytes));
  let closings = 0;
  const blob = new InflightBlob(ingest, size, new Recent(), {
    held() {},
    wanted() {},
    unwritable() {},
    closed: () => closings++,
  });
  return { blob, closings: () => closings };
}

/** The same, and it is whole. */
async function arrived(t: TestContext): Promise<{ blob: InflightBlob; closings: () => number }> {
  const { blob, closings } = await expected(t, bytes.length);
  await blob.write(0, [bytes]);
  return { blob, closings };
}

test('who is about to read keeps the file open, also when its flight ends first', async (t) => {
  const { blob, closings } = await arrived(t);
  const letGo = blob.retain();
  await blob.release();
  assert.equal(closings(), 0);
  const reader = blob.read(whole);
  await letGo?.();
  const buffer = Buffer.alloc(bytes.length);
  assert.equal(await reader.read(buffer, 0), bytes.length);
  assert.deepEqual(buffer, bytes);
  await reader.close();
  assert.equal(closings(), 1);
});

test('what is closed cannot be kept open, and who comes and goes then closes nothing again', async (t) => {
  const { blob, closings } = await arrived(t);
  await blob.release();
  assert.equal(blob.retain(), undefined);
  await blob.read(whole).close();
  await blob.release();
  assert.equal(closings(), 1);
});

test('what comes is read from memory at once, and from the disk once it is written', async (t) => {
  const { blob } = await expected(t, 200_000);
  const demand = { ...whole, intervals: [{ start: 0, end: 200_000 }] };
  const reader = blob.read(demand);
  const content = Buffer.alloc(100_000, 'w');
  const written = blob.write(100_000, [content]);
  assert.equal(blob.held.bytes, 0);
  assert.equal(reader.ready(100_000), 200_000);
  const buffer = Buffer.alloc(150_000);
  assert.equal(await reader.read(buffer, 100_000), 100_000);
  assert.ok(buffer.subarray(0, 100_000).equals(content));
  await written;
  assert.equal(blob.held.bytes, 100_000);
  // From now on the memory may hold something else.
  content.fill('x');
  assert.equal(await reader.read(buffer.fill(0), 100_000), 100_000);
  assert.ok(buffer.subarray(0, 100_000).equals(Buffer.alloc(100_000, 'w')));
  await reader.close();
  await blob.release();
});

test('what many read in no order, with holes that are filled in between, is right for each of them', async (t) => {
  const size = 1_000_000;
  const content = Buffer.from(Array.from({ length: size }, (_, index) => 1 + ((index * 31 + (index >> 10)) % 250)));
  const { blob } = await expected(t, size);
  const demand = { ...whole, intervals: [{ start: 0, end: size }] };
  const readers = Array.from({ length: sharedFrom }, () => blob.read(demand));
  const parts = [3, 7, 1, 8, 0, 9, 5, 2, 6, 4].map((part) => part * 100_000);
  for (const start of parts) {
    await blob.write(start, [Buffer.from(content.subarray(start, start + 100_000))]);
    for (const reader of readers) {
      for (let position = 0; position < size; position += 50_000) {
        const buffer = Buffer.alloc(120_000);
        const read = await reader.read(buffer, position);
        assert.equal(read, Math.min(buffer.length, reader.ready(position) - position));
        assert.ok(buffer.subarray(0, read).equals(content.subarray(position, position + read)), `at ${position}`);
      }
    }
  }
  for (const reader of readers) await reader.close();
  await blob.release();
});
