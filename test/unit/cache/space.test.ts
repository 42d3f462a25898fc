import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Evictor } from '../../../src/cache/evictor.ts';
import { Space } from '../../../src/cache/space.ts';
import { Uses } from '../../../src/cache/uses.ts';
import { SqliteCatalog } from '../../../src/catalog/sqlite.ts';
import { Metrics } from '../../../src/metrics/metrics.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { FakeClock } from '../../support/clock.ts';

const blobs = 100;
const blobBytes = 10;

/** A file system that says late, or at once, what was removed. */
class Scene {
  readonly clock = new FakeClock();
  readonly space: Space;
  readonly catalog: SqliteCatalog;
  free = 90;
  removed = 0;
  /** What the disk waits for before it removes anything. */
  before: Promise<void> = Promise.resolve();

  constructor(t: TestContext, { late, maxSize = 10 ** 6 }: { late: boolean; maxSize?: number }) {
    const catalog = new SqliteCatalog(':memory:');
    this.catalog = catalog;
    t.after(() => catalog.close());
    for (let index = 0; index < blobs; index++) {
      catalog.blobs.add({ digest: digestOf(Buffer.of(index)), size: blobBytes, usedAt: index }, new Uint32Array());
    }
    const remove = async () => {
      await this.before;
      this.removed += blobBytes;
      if (!late) this.free += blobBytes;
    };
    const storage = { remove, removeIngest: remove, capacity: async () => ({ total: 2000, free: this.free }) };
    const uses = new Uses();
    const evictor = new Evictor({ catalog, storage, uses, metrics: new Metrics(), forgotten: () => {} });
    const limits = () => ({ maxSize, minFree: 100 });
    this.space = new Space({ catalog, storage, evictor, clock: this.clock, limits });
  }
}

test('what was removed counts as free, though the file system says so later: no more goes than must', async (t) => {
  const at = { late: new Scene(t, { late: true }), once: new Scene(t, { late: false }) };
  for (let round = 0; round < 5; round++) {
    for (const { space } of [at.late, at.once]) await space.makeRoom();
    assert.equal(at.late.removed, at.once.removed);
  }
  at.late.free += at.late.removed;
  await at.late.space.makeRoom();
  assert.equal(at.late.removed, at.once.removed);
  for (const { space } of [at.late, at.once]) assert.ok(await space.reserve('a', 300));
  assert.equal(at.late.removed, at.once.removed);
  assert.ok(at.late.removed < 500, `${at.late.removed} bytes`);
});

test('what is not seen to be free after half a minute was not free: more goes', async (t) => {
  const late = new Scene(t, { late: true });
  await late.space.makeRoom();
  const first = late.removed;
  late.clock.advance(29_000);
  await late.space.makeRoom();
  assert.equal(late.removed, first);
  late.clock.advance(2000);
  await late.space.makeRoom();
  assert.ok(late.removed > first);
});

test('what has lost its record takes its room until it has left the disk: nobody else is given that before', async (t) => {
  const scene = new Scene(t, { late: false, maxSize: blobs * blobBytes });
  scene.free = 1000;
  const leaves = Promise.withResolvers<void>();
  scene.before = leaves.promise;
  let granted = 0;
  const grow = async (name: string) => {
    assert.ok(await scene.space.reserve(name, blobBytes));
    granted += blobBytes;
    // What lies on the disk, with all that may be written.
    assert.ok(blobs * blobBytes - scene.removed + granted <= blobs * blobBytes, `${scene.removed}, ${granted}`);
  };
  const first = grow('a');
  while (scene.catalog.usage.bytes() === blobs * blobBytes) await setImmediate();
  const second = grow('b');
  for (let turn = 0; turn < 20; turn++) await setImmediate();
  leaves.resolve();
  await Promise.all([first, second]);
  assert.equal(scene.removed, 2 * blobBytes);
});

test('those who make room at the same time make it once', async (t) => {
  const at = { once: new Scene(t, { late: false }), together: new Scene(t, { late: false }) };
  await at.once.space.makeRoom();
  await Promise.all(Array.from({ length: 5 }, () => at.together.space.makeRoom()));
  assert.ok(at.once.removed > 0);
  assert.equal(at.together.removed, at.once.removed);
});

test('nothing goes while a fortieth of all is left; below that, room is made until a twentieth is', async (t) => {
  const all = 1040;
  const above = new Scene(t, { late: false, maxSize: all });
  above.free = 2000;
  // Of 1040 bytes, a fortieth is 26: 1000 are kept.
  assert.ok(await above.space.reserve('a', 14));
  await above.space.makeRoom();
  assert.equal(above.removed, 0);
  const below = new Scene(t, { late: false, maxSize: all });
  below.free = 2000;
  assert.ok(await below.space.reserve('a', 15));
  await below.space.makeRoom();
  const left = all - 1000 - 15 + below.removed;
  assert.ok(left >= all / 20 && left < all / 20 + blobBytes, `${left} bytes`);
});
