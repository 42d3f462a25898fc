import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, hexOf } from '../../src/oci/digest.ts';
import { DiskStorage } from '../../src/storage/disk.ts';
import { StorageError } from '../../src/storage/driver.ts';
import { tempDir } from '../support/temp.ts';
import { storageConformance } from './storage.ts';

storageConformance('disk', () => {
  const dir = tempDir();
  return () => DiskStorage.open(dir);
});

const bytes = Buffer.from('content');
const digest = digestOf(bytes);

async function commit(storage: DiskStorage): Promise<void> {
  const ingest = await storage.ingest('x', digest);
  await ingest.write(0, [bytes]);
  await ingest.commit(digest, bytes.length);
  await ingest.close();
}

test('disk: blobs lie where the layout says, and what else lies there is no blob', async (t) => {
  const dir = tempDir();
  const storage = await DiskStorage.open(dir);
  t.after(() => storage.close());
  await commit(storage);
  const hex = hexOf(digest);
  const folder = join(dir, 'blobs/sha256', hex.slice(0, 2));
  assert.deepEqual(readFileSync(join(folder, hex)), bytes);
  writeFileSync(join(folder, 'lost+found'), '');
  writeFileSync(join(folder, `${hex}.tmp`), '');
  writeFileSync(join(dir, 'blobs', hex), '');
  mkdirSync(join(dir, 'blobs/sha256/zz'));
  writeFileSync(join(dir, 'blobs/sha256/zz', hex), '');
  assert.deepEqual(await storage.list(), [digest]);
});

test('disk: a full disk is told as what it is', async (t) => {
  const dir = tempDir();
  const storage = await DiskStorage.open(dir);
  t.after(() => storage.close());
  symlinkSync('/dev/full', join(dir, 'ingest/full'));
  const ingest = await storage.ingest('full', digest);
  await assert.rejects(ingest.write(0, [bytes]), (error) => error instanceof StorageError && error.code === 'ENOSPC');
  await ingest.close();
});

test('disk: a directory that cannot be one is a storage error', async () => {
  const file = join(tempDir(), 'file');
  writeFileSync(file, '');
  await assert.rejects(
    DiskStorage.open(join(file, 'data')),
    (error) => error instanceof StorageError && error.code === 'ENOTDIR',
  );
});

test('disk: nothing stays open behind what was closed', async (t) => {
  const storage = await DiskStorage.open(tempDir());
  t.after(() => storage.close());
  const files = () => readdirSync('/proc/self/fd').length;
  await commit(storage);
  const before = files();
  for (let count = 0; count < 20; count++) {
    await commit(storage);
    await (await storage.open(digest))?.close();
    const ingest = await storage.ingest('y', digest);
    await ingest.discard();
    await ingest.close();
  }
  assert.equal(files(), before);
});
