import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { Evictor } from '../../../src/cache/evictor.ts';
import { Uses } from '../../../src/cache/uses.ts';
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
  readonly inUse: boolean;
  readonly pinned: boolean;
}

class Scene {
  readonly catalog = new SqliteCatalog(':memory:');
  readonly removed: string[] = [];
  readonly evictor: Evictor;
  failure: StorageError | undefined;

  constructor(t: TestContext, kept: readonly Kept[]) {
    t.after(() => this.catalog.close());
    const uses = new Uses();
    for (const [index, each] of kept.entries()) this.#add(index, each, uses);
    const remove = async (name: string) => {
      if (this.failure) throw this.failure;
      this.removed.push(name);
    };
    const storage = { remove, removeIngest: remove };
    const { catalog } = this;
    this.evictor = new Evictor({ catalog, storage, uses, metrics: new Metrics(), forgotten: () => {} });
  }

  #add(index: number, { bytes, usedAt, partial, inUse, pinned }: Kept, uses: Uses): void {
    const { blobs, partials, pins } = this.catalog;
    const digest = digestAt(index);
    if (!partial) blobs.add({ digest, size: bytes, usedAt }, new Uint32Array());
    else partials.put({ name: String(index), upstream: 'up', digest, size: 2 * bytes, usedAt });
    if (partial && bytes > 0) partials.record(String(index), [0], [{ start: 0, end: bytes, crc: 0 }]);
    if (inUse) uses.hold(digest);
    if (pinned) pins.add({ repository: { upstream: 'up', name: 'app' }, reference: digest });
  }
}

const nameOf = (index: number, { partial }: Kept) => (partial ? String(index) : digestAt(index));
const blob = { bytes: 10, usedAt: 0, partial: false, inUse: false, pinned: false };

/** What goes, and how much that is. */
function expectedOf(kept: readonly Kept[], wanted: number): { expected: string[]; sum: number } {
  const expected: string[] = [];
  let sum = 0;
  for (const [index, one] of [...kept.entries()].toSorted(([, a], [, b]) => a.usedAt - b.usedAt)) {
    if (sum >= wanted) break;
    if (one.inUse || one.pinned) continue;
    expected.push(nameOf(index, one));
    sum += one.bytes;
  }
  return { expected, sum };
}

test('what was used least recently goes, no more than must, and nothing that is in use or pinned', async (t) => {
  const each = fc.record({
    bytes: fc.nat(100),
    partial: fc.boolean(),
    inUse: fc.boolean(),
    pinned: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(each, { maxLength: 12 }), fc.nat(300), async (all, wanted) => {
      // Times of use in an order that has nothing to do with the order of coming.
      const kept = all.map((one, index) => ({ ...one, usedAt: (index * 7) % 13 }));
      const scene = new Scene(t, kept);
      const before = scene.catalog.usage.bytes();
      const freed = await scene.evictor.free(wanted);
      const { expected, sum } = expectedOf(kept, wanted);
      const enough = sum >= wanted;
      assert.deepEqual([freed, scene.removed], [enough, enough ? expected : []]);
      assert.equal(scene.catalog.usage.bytes(), enough ? before - sum : before);
    }),
    { numRuns: 30 },
  );
});

test('many that may not go do not keep others from going', async (t) => {
  const pinned = Array.from({ length: 100 }, (_, usedAt) => ({ ...blob, usedAt, pinned: true }));
  const inUse = Array.from({ length: 100 }, (_, index) => ({ ...blob, usedAt: 100 + index, inUse: true }));
  const scene = new Scene(t, [...pinned, ...inUse, { ...blob, usedAt: 1000 }]);
  assert.equal(await scene.evictor.free(10), true);
  assert.deepEqual(scene.removed, [digestAt(200)]);
});

test('a use counts at once, though it is written later', async (t) => {
  const scene = new Scene(t, [blob, { ...blob, usedAt: 1 }]);
  scene.catalog.blobs.touch(digestAt(0), 100);
  await scene.evictor.free(1);
  assert.deepEqual(scene.removed, [digestAt(1)]);
});

test('each who asks gets what it asked for; a failure is told, and does not stop the next', async (t) => {
  const scene = new Scene(t, [blob, { ...blob, usedAt: 1 }, { ...blob, usedAt: 2 }]);
  scene.failure = new StorageError('EIO', 'no');
  await assert.rejects(scene.evictor.free(1), scene.failure);
  scene.failure = undefined;
  assert.deepEqual(await Promise.all([scene.evictor.free(10), scene.evictor.free(10)]), [true, true]);
  assert.deepEqual([scene.removed, scene.catalog.usage.bytes()], [[digestAt(1), digestAt(2)], 0]);
});
