import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { InflightBlob } from '../../../src/cache/inflight.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { DiskStorage } from '../../../src/storage/disk.ts';
import { tempDir } from '../../support/temp.ts';

const bytes = Buffer.from('a blob that has come');
const whole = { intervals: [{ start: 0, end: bytes.length }], whole: false, share: { servedAt: 0 }, layer: 0 };

/** A blob that is whole, and how often it was closed. */
async function arrived(t: TestContext): Promise<{ blob: InflightBlob; closings: () => number }> {
  const storage = await DiskStorage.open(tempDir());
  t.after(() => storage.close());
  const ingest = await storage.ingest('arriving', digestOf(bytes));
  let closings = 0;
  const blob = new InflightBlob(ingest, bytes.length, {
    held() {},
    wanted() {},
    unwritable() {},
    closed: () => closings++,
  });
  await blob.write(0, [bytes]);
  return { blob, closings: () => closings };
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
