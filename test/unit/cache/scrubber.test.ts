import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Demotion } from '../../../src/cache/demotion.ts';
import { Scrubber } from '../../../src/cache/scrubber.ts';
import { SqliteCatalog } from '../../../src/catalog/sqlite.ts';
import { Metrics } from '../../../src/metrics/metrics.ts';
import { type Digest, digestOf, hexOf } from '../../../src/oci/digest.ts';
import { StorageError, type StoredBlob } from '../../../src/storage/driver.ts';
import { FakeClock } from '../../support/clock.ts';

const slice = 4 * 1024 * 1024;
const day = 24 * 60 * 60_000;
const digests = [0, 1, 2].map((index) => digestOf(Buffer.from(String(index))));

/** Three blobs of three slices each, which are as they should be, and who hashes them. */
class Scene {
  readonly clock = new FakeClock();
  readonly catalog = new SqliteCatalog(':memory:');
  busy = false;
  /** How many slices were hashed. */
  hashed = 0;
  open = 0;
  readonly opened: Digest[] = [];
  /** What cannot be opened. */
  broken: Digest | undefined;
  readonly errors: string[] = [];

  constructor(t: TestContext) {
    for (const digest of digests) this.catalog.blobs.add({ digest, size: 3 * slice, usedAt: 0 }, new Uint32Array(12));
    const storage = {
      list: async () => digests,
      open: async (digest: Digest) => this.#blob(digest),
      remove: async () => {},
      removeIngest: async () => {},
      reopen: async () => {},
    };
    const { catalog, clock } = this;
    const error = (_fields: unknown, message: string) => void this.errors.push(message);
    const log = { error, warn: assert.fail, info: assert.fail, debug: () => {} };
    const demotion = new Demotion({ catalog, clock, storage, demoted() {} });
    const busy = () => this.busy;
    const scrubber = new Scrubber({ catalog, clock, storage, demotion, busy, log, metrics: new Metrics() });
    scrubber.start();
    t.after(async () => {
      if (this.broken === undefined) assert.deepEqual(this.errors, []);
      await scrubber.close();
      catalog.close();
    });
  }

  #blob(digest: Digest): StoredBlob {
    this.open++;
    this.opened.push(digest);
    if (digest === this.broken) throw new StorageError('EIO', 'it cannot be opened');
    return {
      size: 3 * slice,
      hash: async () => {
        this.hashed++;
        return [];
      },
      digest: async () => ({ hex: hexOf(digest), tail: undefined }),
      checksum: async () => [],
      read: async () => 0,
      close: async () => void this.open--,
    };
  }

  /** Lets time pass in steps of at most a minute, and what waits for it go on. */
  async pass(ms: number): Promise<void> {
    const step = Math.min(ms, 60_000);
    for (let passed = 0; passed < ms; passed += step) {
      this.clock.advance(step);
      for (let turn = 0; turn < 4; turn++) await setImmediate();
    }
  }
}

test('while anybody is served nothing is hashed gently; it goes on as soon as nobody is', async (t) => {
  const scene = new Scene(t);
  await scene.pass(13 * 60_000);
  const before = scene.hashed;
  assert.ok(before > 0 && before < 9);
  scene.busy = true;
  await scene.pass(60 * 60_000);
  assert.ok(scene.hashed <= before + 1, `${scene.hashed - before} slices`);
  scene.busy = false;
  await scene.pass(60 * 60_000);
  assert.equal(scene.hashed, 9);
});

test('a mirror that never runs for long comes to every blob as well', async (t) => {
  const firsts = new Set<Digest | undefined>();
  for (let start = 0; start < 60; start++) {
    const scene = new Scene(t);
    await scene.pass(11 * 60_000);
    firsts.add(scene.opened[0]);
  }
  assert.deepEqual(firsts, new Set(digests));
});

test('a mirror that is never idle is gone through within a week as well', async (t) => {
  const scene = new Scene(t);
  scene.busy = true;
  await scene.pass(3 * day);
  assert.ok(scene.hashed > 0 && scene.hashed < 9, `${scene.hashed} slices`);
  await scene.pass(4 * day);
  assert.ok(scene.hashed >= 9, `${scene.hashed} slices`);
});

test('what is evicted while its rest waits for others is let go of', async (t) => {
  const scene = new Scene(t);
  scene.busy = true;
  await scene.pass(11 * 60_000);
  assert.equal(scene.open, 1);
  for (const digest of digests) scene.catalog.blobs.remove(digest);
  await scene.pass(10 * 60_000);
  assert.equal(scene.open, 0);
});

test('one that cannot be opened does not keep it from the others, and is said', async (t) => {
  const scene = new Scene(t);
  [scene.broken] = digests;
  await scene.pass(60 * 60_000);
  assert.deepEqual(new Set(scene.opened), new Set(digests));
  assert.equal(scene.hashed, 6);
  assert.deepEqual(scene.errors, ['a stored blob could not be looked at']);
  await scene.pass(day);
  assert.equal(scene.hashed, 12);
});
