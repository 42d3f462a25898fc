import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { type Digest, digestOf, hexOf } from '../../src/oci/digest.ts';
import {
  chunkSize,
  type Ingest,
  type Piece,
  type ReadableBytes,
  type StorageDriver,
  StorageError,
} from '../../src/storage/driver.ts';

/** Opens one place: again and again, as a process that is started anew does, but never twice at once. */
export type OpenStorage = () => Promise<StorageDriver>;

async function readAll(bytes: ReadableBytes, size: number): Promise<Buffer> {
  const buffer = Buffer.alloc(size + 1);
  return buffer.subarray(0, await bytes.read(buffer, 0));
}

async function store(storage: StorageDriver, bytes: Buffer, digest = digestOf(bytes)): Promise<Digest> {
  const ingest = await storage.ingest(hexOf(digest).slice(0, 40), digest);
  await ingest.write(0, [bytes]);
  await ingest.commit(digest, bytes.length);
  await ingest.close();
  return digest;
}

const pieceOf = (bytes: Buffer, start: number, end: number): Piece => ({
  start,
  end,
  crc: crc32(bytes.subarray(start, end)),
});

/**
 * What every `StorageDriver` does. The tests share one place, since opening one may take long: each has content of its
 * own. `place` makes an empty one.
 */
export function storageConformance(name: string, place: () => OpenStorage): void {
  let storage: StorageDriver;
  before(async () => {
    storage = await place()();
  });
  after(() => storage.close());

  const storageTest = (sentence: string, check: () => Promise<void>) => test(`${name}: ${sentence}`, check);

  storageTest('what is stored can be hashed, and becomes arriving content again while it is read', async () => {
    const bytes = randomBytes(chunkSize + 500);
    const digest = await store(storage, bytes);
    const blob = (await storage.open(digest)) ?? assert.fail();
    const tail = pieceOf(bytes, chunkSize, bytes.length);
    assert.deepEqual(await blob.checksum([tail]), [tail]);
    assert.deepEqual(await blob.hash(bytes.length), [pieceOf(bytes, 0, chunkSize)]);
    assert.deepEqual(await blob.digest(), { hex: hexOf(digest), tail });
    await storage.reopen(digest, 'again');
    assert.equal(await storage.open(digest), undefined);
    assert.ok((await readAll(blob, bytes.length)).equals(bytes));
    await blob.close();
    const ingest = await storage.ingest('again', digest);
    assert.ok((await readAll(ingest, bytes.length)).equals(bytes));
    await ingest.discard();
    await ingest.close();
    await assert.rejects(storage.reopen(digest, 'again'), StorageError);
  });

  const ingestTest = (
    sentence: string,
    size: number,
    check: (ingest: Ingest, bytes: Buffer, ingestName: string) => Promise<void>,
  ) =>
    storageTest(sentence, async () => {
      const bytes = randomBytes(size);
      const ingestName = `arriving-${hexOf(digestOf(bytes))}`;
      const ingest = await storage.ingest(ingestName, digestOf(bytes));
      try {
        await check(ingest, bytes, ingestName);
      } finally {
        await ingest.close();
        await storage.removeIngest(ingestName);
      }
    });

  storageTest('what was committed can be read at any offset, and no further than it goes', async () => {
    const bytes = randomBytes(100_000);
    const blob = await storage.open(await store(storage, bytes));
    assert.equal(blob?.size, bytes.length);
    const buffer = Buffer.alloc(1000);
    for (const position of [0, 1, 65_535, 99_000]) {
      assert.equal(await blob.read(buffer, position), 1000);
      assert.deepEqual(buffer, bytes.subarray(position, position + 1000));
    }
    assert.equal(await blob.read(buffer, 99_999), 1);
    assert.equal(await blob.read(buffer, 100_000), 0);
    assert.equal(await blob.read(buffer, 10 ** 12), 0);
    await blob.close();
  });

  storageTest('what was never committed is not there; removing it changes nothing', async () => {
    const digest = digestOf(randomBytes(8));
    assert.equal(await storage.open(digest), undefined);
    await storage.remove(digest);
    await storage.removeIngest('nothing');
    assert.ok(!(await storage.list()).includes(digest));
  });

  storageTest('all blobs are listed, of either algorithm, and those that are empty', async () => {
    const digests = [
      await store(storage, Buffer.from('a')),
      await store(storage, Buffer.from('b'), digestOf(Buffer.from('b'), 'sha512')),
      await store(storage, Buffer.alloc(0)),
    ];
    const listed = await storage.list();
    assert.deepEqual(listed.filter((digest) => digests.includes(digest)).toSorted(), digests.toSorted());
    const empty = await storage.open(digestOf(Buffer.alloc(0)));
    assert.equal(empty?.size, 0);
    await empty.close();
  });

  storageTest('a blob that is removed can be read by who has it open, and by nobody else', async () => {
    const bytes = randomBytes(5000);
    const digest = await store(storage, bytes);
    const blob = await storage.open(digest);
    assert.ok(blob);
    await storage.remove(digest);
    assert.equal(await storage.open(digest), undefined);
    assert.deepEqual(await readAll(blob, bytes.length), bytes);
    await blob.close();
  });

  ingestTest(
    'arriving content is no blob before it is committed, and no longer arriving after',
    10,
    async (ingest, bytes, ingestName) => {
      const digest = digestOf(bytes);
      const where = async () => [(await storage.list()).includes(digest), (await storage.ingests()).has(ingestName)];
      await ingest.write(0, [bytes]);
      assert.equal(await storage.open(digest), undefined);
      assert.deepEqual(await where(), [false, true]);
      await ingest.commit(digest, bytes.length);
      assert.deepEqual(await where(), [true, false]);
    },
  );

  ingestTest(
    'arriving content is written anywhere, in any order, by several at once',
    300_000,
    async (ingest, bytes) => {
      const starts = [200_000, 0, 250_000, 100_000, 50_000, 150_000];
      const half = 25_000;
      const parts = (start: number) => [
        bytes.subarray(start, start + half),
        bytes.subarray(start + half, start + 2 * half),
      ];
      await Promise.all(starts.map((start) => ingest.write(start, parts(start))));
      assert.deepEqual(await readAll(ingest, bytes.length), bytes);
    },
  );

  ingestTest('thousands of small buffers are one write', 6000, async (ingest, bytes) => {
    const buffers = Array.from({ length: 3000 }, (_, index) => bytes.subarray(2 * index, 2 * index + 2));
    await ingest.write(7, buffers);
    const found = await readAll(ingest, 6007);
    assert.deepEqual(found.subarray(7), bytes);
    assert.deepEqual(found.subarray(0, 7), Buffer.alloc(7));
  });

  ingestTest(
    'it is hashed in order, however it is cut, with a checksum for every chunk',
    2_500_000,
    async (ingest, bytes) => {
      await ingest.write(0, [bytes]);
      const pieces: Piece[] = [];
      for (const to of [0, 1000, 1000, chunkSize - 1, chunkSize + 1, 2 * chunkSize, bytes.length]) {
        pieces.push(...(await ingest.hash(to)));
        const { hex, tail } = await ingest.digest();
        assert.equal(hex, hexOf(digestOf(bytes.subarray(0, to))));
        const behind = to - (to % chunkSize);
        assert.deepEqual(tail, behind === to ? undefined : pieceOf(bytes, behind, to));
      }
      assert.deepEqual(pieces, [pieceOf(bytes, 0, chunkSize), pieceOf(bytes, chunkSize, 2 * chunkSize)]);
    },
  );

  storageTest('content is hashed by the algorithm of its digest', async () => {
    const bytes = randomBytes(1000);
    const ingest = await storage.ingest('x', digestOf(bytes, 'sha512'));
    await ingest.write(0, [bytes]);
    await ingest.hash(bytes.length);
    assert.equal((await ingest.digest()).hex, hexOf(digestOf(bytes, 'sha512')));
    await ingest.close();
  });

  storageTest('several are hashed at once, each by itself', async () => {
    const contents = Array.from({ length: 4 }, () => randomBytes(50_000));
    const digests = contents.map((bytes) => hexOf(digestOf(bytes)));
    const ingests = await Promise.all(contents.map((bytes, index) => storage.ingest(String(index), digestOf(bytes))));
    const hashed = ingests.map(async (ingest, index) => {
      const bytes = contents[index] ?? Buffer.alloc(0);
      await ingest.write(0, [bytes]);
      for (let to = 10_000; to <= bytes.length; to += 10_000) await ingest.hash(to);
      return (await ingest.digest()).hex;
    });
    assert.deepEqual(await Promise.all(hashed), digests);
    await Promise.all(ingests.map((ingest) => ingest.close()));
  });

  ingestTest(
    'checksums are of what was written; of what is not there, there is none',
    10_000,
    async (ingest, bytes) => {
      await ingest.write(0, [bytes]);
      const found = await ingest.checksum([
        { start: 5, end: 9000 },
        { start: 0, end: 1 },
      ]);
      assert.deepEqual(found, [pieceOf(bytes, 5, 9000), pieceOf(bytes, 0, 1)]);
      await assert.rejects(ingest.checksum([{ start: 9999, end: 10_001 }]), StorageError);
      await assert.rejects(ingest.hash(10_001), StorageError);
    },
  );

  ingestTest('a commit cuts off what lies behind the end', 3000, async (ingest, bytes) => {
    const digest = digestOf(bytes.subarray(0, 2000));
    await ingest.write(0, [bytes]);
    await ingest.commit(digest, 2000);
    const blob = await storage.open(digest);
    assert.equal(blob?.size, 2000);
    await blob.close();
  });

  for (const end of ['commit', 'discard'] as const) {
    ingestTest(`readers go on undisturbed after a ${end}`, 3000, async (ingest, bytes, ingestName) => {
      await ingest.write(0, [bytes]);
      await ingest[end](digestOf(bytes), bytes.length);
      assert.deepEqual(await readAll(ingest, bytes.length), bytes);
      assert.ok(!(await storage.ingests()).has(ingestName));
      assert.equal((await storage.list()).includes(digestOf(bytes)), end === 'commit');
    });
  }

  storageTest('the same content may be committed twice', async () => {
    const bytes = randomBytes(1000);
    await store(storage, bytes);
    const other = await storage.ingest('other', digestOf(bytes));
    await other.write(0, [bytes]);
    await other.commit(digestOf(bytes), bytes.length);
    await other.close();
    const blob = await storage.open(digestOf(bytes));
    assert.ok(blob);
    assert.deepEqual(await readAll(blob, bytes.length), bytes);
    await blob.close();
    assert.equal((await storage.list()).filter((digest) => digest === digestOf(bytes)).length, 1);
  });

  storageTest('arriving content that nobody has open can be removed', async () => {
    const ingest = await storage.ingest('x', digestOf(randomBytes(8)));
    await ingest.write(0, [Buffer.from('x')]);
    await ingest.close();
    await storage.removeIngest('x');
    assert.ok(!(await storage.ingests()).has('x'));
    const again = await storage.ingest('x', digestOf(randomBytes(8)));
    assert.deepEqual(await readAll(again, 1), Buffer.alloc(0));
    await again.close();
  });

  storageTest('of arriving content it says how much was written, wherever that lies', async () => {
    const ingest = await storage.ingest('sparse', digestOf(randomBytes(8)));
    await ingest.write(64 * chunkSize, [randomBytes(chunkSize)]);
    const bytes = (await storage.ingests()).get('sparse') ?? 0;
    assert.ok(bytes >= chunkSize && bytes < 2 * chunkSize, `${bytes} bytes`);
    await ingest.discard();
    await ingest.close();
  });

  storageTest('it can prove that it can be written', () => storage.probe());

  test(`${name}: what was committed, and what was left unfinished, is there when it is opened again`, async () => {
    const open = place();
    const bytes = randomBytes(4000);
    const first = await open();
    const digest = await store(first, bytes);
    const left = await first.ingest('left', digest);
    await left.write(2000, [bytes.subarray(2000)]);
    await left.close();
    await first.close();
    const second = await open();
    assert.deepEqual([await second.list(), [...(await second.ingests()).keys()]], [[digest], ['left']]);
    const taken = await second.ingest('left', digest);
    await taken.write(0, [bytes.subarray(0, 2000)]);
    assert.deepEqual(await readAll(taken, bytes.length), bytes);
    await taken.close();
    await second.close();
  });
}
