import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Demotion } from '../../../src/cache/demotion.ts';
import { Recent } from '../../../src/cache/recent.ts';
import { SharedBlobs } from '../../../src/cache/shared-blobs.ts';
import { Uses } from '../../../src/cache/uses.ts';
import { SqliteCatalog } from '../../../src/catalog/sqlite.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { StorageError, type StoredBlob } from '../../../src/storage/driver.ts';
import { FakeClock } from '../../support/clock.ts';

const mib = 1024 * 1024;
const content = Buffer.from(Array.from({ length: 3 * mib + 5 }, (_, index) => (index * 31 + (index >> 9)) % 251));
const digest = digestOf(content);

/** A storage that has one blob, whose bytes a test may change. */
class Shelf {
  bytes = content;
  opened = 0;
  open = 0;
  reads = 0;
  fails = false;
  readonly uses = new Uses();
  readonly blobs: SharedBlobs;

  constructor() {
    this.blobs = new SharedBlobs({ open: async () => this.#open() }, this.uses, new Recent());
  }

  /** So many who have opened it. */
  async readers(count: number): Promise<StoredBlob[]> {
    const all = await Promise.all(Array.from({ length: count }, () => this.blobs.open(digest)));
    return all.filter((blob) => blob !== undefined);
  }

  async #open(): Promise<StoredBlob> {
    if (this.fails) throw new StorageError('EIO', 'it cannot be opened');
    this.opened++;
    this.open++;
    const { bytes } = this;
    return {
      size: bytes.length,
      read: async (buffer, position) => {
        this.reads++;
        return bytes.copy(buffer, 0, position);
      },
      hash: async () => [],
      digest: async () => ({ hex: '', tail: undefined }),
      checksum: async () => [],
      close: async () => void this.open--,
    };
  }
}

async function readAll(blob: StoredBlob, step: number): Promise<Buffer> {
  const got: Buffer[] = [];
  for (let position = 0; position < blob.size; position += step) {
    const buffer = Buffer.alloc(step);
    got.push(buffer.subarray(0, await blob.read(buffer, position)));
  }
  return Buffer.concat(got);
}

test('a blob is open once and in use, however many read it, and is closed by the last of them', async () => {
  const shelf = new Shelf();
  const readers = await shelf.readers(5);
  assert.equal(shelf.opened, 1);
  for (const reader of readers) {
    assert.ok(shelf.uses.has(digest));
    assert.equal(shelf.open, 1);
    await reader.close();
    await reader.close();
  }
  assert.equal(shelf.open, 0);
  assert.equal(shelf.uses.has(digest), false);
  await Promise.all((await shelf.readers(1)).map((reader) => reader.close()));
  assert.equal(shelf.opened, 2);
  assert.equal(shelf.uses.size, 0);
});

test('each of many readers gets all of it, for one read of each part', async () => {
  const shelf = new Shelf();
  const readers = await shelf.readers(8);
  const all = await Promise.all(readers.map((reader, index) => readAll(reader, 100_000 * (index + 1))));
  for (const each of all) assert.ok(each.equals(content));
  assert.equal(shelf.reads, 13);
  await Promise.all(readers.map((reader) => reader.close()));
});

test('what cannot be opened is not in use, and is opened again', async () => {
  const shelf = new Shelf();
  shelf.fails = true;
  const opened = await Promise.allSettled([shelf.blobs.open(digest), shelf.blobs.open(digest)]);
  for (const { status } of opened) assert.equal(status, 'rejected');
  assert.equal(shelf.uses.size, 0);
  shelf.fails = false;
  const [reader] = await shelf.readers(1);
  assert.ok(reader && (await readAll(reader, mib)).equals(content));
  await reader.close();
});

test('whoever comes after a blob was demoted has nothing of what it was before', async () => {
  const shelf = new Shelf();
  shelf.bytes = Buffer.from(content.map((byte) => byte ^ 1));
  const before = await shelf.readers(4);
  await Promise.all(before.map((reader) => readAll(reader, mib)));

  const catalog = new SqliteCatalog(':memory:');
  catalog.blobs.add({ digest, size: content.length, usedAt: 0 }, new Uint32Array(4));
  const storage = { remove: async () => {}, removeIngest: async () => {}, reopen: async () => {} };
  const demoted = shelf.blobs.forget.bind(shelf.blobs);
  await new Demotion({ catalog, clock: new FakeClock(), storage, demoted }).demote(digest, 'up.test');
  catalog.close();
  shelf.bytes = content;

  const after = await shelf.readers(4);
  for (const reader of after) assert.ok((await readAll(reader, mib)).equals(content));
  await Promise.all(before.map((reader) => reader.close()));
  assert.ok(shelf.uses.has(digest));
  // Those who came before them have left: they still share what is theirs.
  const [late] = await shelf.readers(1);
  assert.equal(shelf.opened, 2);
  await Promise.all([...after, late].map((reader) => reader?.close()));
  assert.equal(shelf.open, 0);
  assert.equal(shelf.uses.size, 0);
});
