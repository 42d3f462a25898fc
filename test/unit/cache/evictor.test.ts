import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { Evictor } from '../../../src/cache/evictor.ts';
import { SqliteCatalog } from '../../../src/catalog/sqlite.ts';
import { Metrics } from '../../../src/metrics/metrics.ts';
import { type Digest, digestOf } from '../../../src/oci/digest.ts';
import { StorageError } from '../../../src/storage/driver.ts';

const digestAt = (index: number): Digest => digestOf(Buffer.from(String(index)));

/** What is kept: blobs and unfinished content by turns, each with its size and the time of its last use. */
interface Kept {
  readonly bytes: number;
  readonly usedAt: number;
  readonly partial: boolean;
  readonly arriving: boolean;
}

class Scene {
  readonly catalog = new SqliteCatalog(':memory:');
  readonly removed: string[] = [];
  readonly metrics = new Metrics();
  readonly evictor: Evictor;
  failure: StorageError | undefined;

  constructor(t: TestContext, kept: readonly Kept[], limit: number) {
    t.after(() => this.catalog.close());
    for (const [index, each] of kept.entries()) this.#add(index, each);
    const remove = async (name: string) => {
      if (this.failure) throw this.failure;
      this.removed.push(name);
    };
    const isArriving = (name: string) => kept[Number(name)]?.arriving === true;
    const flights = { size: kept.filter(({ arriving }) => arriving).length, isArriving };
    const storage = { remove, removeIngest: remove };
    this.evictor = new Evictor({ catalog: this.catalog, storage, metrics: this.metrics, limit, flights });
  }

  #add(index: number, { bytes, usedAt, partial }: Kept): void {
    const { blobs, partials } = this.catalog;
    const digest = digestAt(index);
    if (!partial) blobs.add({ digest, size: bytes, usedAt }, new Uint32Array());
    else partials.put({ name: String(index), upstream: 'up', digest, size: 2 * bytes, usedAt });
    if (partial && bytes > 0) partials.record(String(index), [0], [{ start: 0, end: bytes, crc: 0 }]);
  }
}

const nameOf = (index: number, { partial }: Kept) => (partial ? String(index) : digestAt(index));
const sum = (kept: readonly Kept[]) => kept.reduce((total, { bytes }) => total + bytes, 0);

test('what was used least recently goes, no more than must, and nothing that is arriving', async (t) => {
  const each = fc.record({ bytes: fc.nat(100), partial: fc.boolean(), arriving: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(each, { maxLength: 12 }), fc.nat(500), async (all, limit) => {
      // Times of use in an order that has nothing to do with the order of coming.
      const kept = all.map((one, index) => ({ ...one, usedAt: (index * 7) % 13 }));
      const scene = new Scene(t, kept, limit);
      await scene.evictor.makeRoom();
      const order = [...kept.entries()].toSorted(([, a], [, b]) => a.usedAt - b.usedAt);
      const expected: string[] = [];
      let left = sum(kept);
      for (const [index, one] of order) {
        if (left <= limit) break;
        if (one.partial && one.arriving) continue;
        expected.push(nameOf(index, one));
        left -= one.bytes;
      }
      assert.deepEqual(scene.removed, expected);
      assert.equal(scene.catalog.usage.bytes(), left);
    }),
    { numRuns: 30 },
  );
});

test('many that are arriving do not keep others from going', async (t) => {
  const arriving = Array.from({ length: 100 }, (_, index) => ({
    bytes: 1,
    usedAt: index,
    partial: true,
    arriving: true,
  }));
  const scene = new Scene(t, [...arriving, { bytes: 50, usedAt: 1000, partial: false, arriving: false }], 100);
  await scene.evictor.makeRoom();
  assert.deepEqual(scene.removed, [digestAt(100)]);
});

test('a use counts at once, though it is written later', async (t) => {
  const kept = [0, 1].map((usedAt) => ({ bytes: 10, usedAt, partial: false, arriving: false }));
  const scene = new Scene(t, kept, 10);
  scene.catalog.blobs.touch(digestAt(0), 100);
  await scene.evictor.makeRoom();
  assert.deepEqual(scene.removed, [digestAt(1)]);
});

test('who asks while room is being made waits for that; a failure is told, and tried again', async (t) => {
  const kept = [
    { bytes: 10, usedAt: 0, partial: false, arriving: false },
    { bytes: 10, usedAt: 1, partial: false, arriving: false },
  ];
  const scene = new Scene(t, kept, 0);
  scene.failure = new StorageError('EIO', 'no');
  const both = await Promise.allSettled([scene.evictor.makeRoom(), scene.evictor.makeRoom()]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  scene.failure = undefined;
  await Promise.all([scene.evictor.makeRoom(), scene.evictor.makeRoom()]);
  assert.deepEqual([scene.removed, scene.catalog.usage.bytes()], [[digestAt(1)], 0]);
});
