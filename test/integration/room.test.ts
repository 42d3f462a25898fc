import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Flights } from '../../src/cache/flights.ts';
import { Recent } from '../../src/cache/recent.ts';
import { Uses } from '../../src/cache/uses.ts';
import { SqliteCatalog } from '../../src/catalog/sqlite.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { DiskStorage } from '../../src/storage/disk.ts';
import { Routes } from '../../src/upstream/routes.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, slow } from '../support/faults.ts';
import { HeldRoom } from '../support/held-room.ts';
import { collectLog, settingsOf, upstreamConfig } from '../support/mirror.ts';
import { noise } from '../support/noise.ts';
import { FakeRegistry } from '../support/registry.ts';
import { setScene } from '../support/scene.ts';
import { disagreements, diskBytes } from '../support/soak-disk.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const mib = 2 ** 20;
/** File systems give room in blocks. */
const spare = mib / 4;

test('however much comes at once, no more lies on the disk than may, at no moment', async (t) => {
  const limit = 12 * mib;
  const layers = [3, 2, 4, 3, 2, 4, 3, 2, 4, 3].map((size) => size * mib);
  const scene = await setScene(t, { layers, config: { cache: { maxSize: `${limit}B`, minFree: '0%' } } });
  let most = 0;
  const look = () => {
    most = Math.max(most, diskBytes(scene.mirror.dataDir));
    return undefined;
  };
  for (let round = 0; round < 3; round++) {
    const fetched = scene.image.layers.map((layer) => fetchRaw(scene.blobUrl(digestOf(layer)), { onBytes: look }));
    for (const [index, answer] of (await Promise.all(fetched)).entries()) {
      assert.ok(answer.complete && answer.body.equals(scene.image.layers[index] ?? Buffer.alloc(0)));
    }
    look();
  }
  assert.ok(most > limit / 2, `${most} bytes of ${limit}`);
  assert.ok(most <= limit + spare, `${most} bytes of ${limit}`);
});

test('nothing is written that there is no room for yet, however fast it comes; and that is no silence of the upstream', async (t) => {
  const upstream = await FakeRegistry.start();
  const dataDir = tempDir();
  const settings = settingsOf({ ...upstreamConfig(upstream.url), dataDir });
  const shared = { clock: new FakeClock(), metrics: new Metrics() };
  const routes = new Routes(settings, shared.clock, collectLog([]), shared.metrics);
  const storage = await DiskStorage.open(dataDir);
  const catalog = new SqliteCatalog(join(dataDir, 'catalog.db'));
  const room = new HeldRoom(mib / 4);
  let repairs = 0;
  const flights = new Flights({
    ...{ ...shared, storage, catalog, uses: new Uses(), recent: new Recent(), space: { reserve: async () => room } },
    idleFlight: () => 60_000,
    events: () => ({ received() {}, repaired: () => repairs++ }),
    ended() {},
    passes() {},
  });
  t.after(async () => {
    await flights.close();
    await storage.close();
    catalog.close();
    await routes.close();
    await upstream.close();
  });
  const blob = noise(12 * mib);
  const digest = upstream.putBlob('team/app', blob);
  const { registry } = routes.resolve(
    { prefix: undefined, ns: undefined, name: 'team/app', resource: { kind: 'tags' } },
    undefined,
  );
  const { flight } = await flights.join({ registry, repository: 'team/app' }, digest, blob.length);
  flight.expect({ share: { servedAt: 0 }, layer: 0 });
  let before = 0;
  // It sends until nobody takes any more of it.
  await until(() => {
    const still = upstream.blobBytes > 2 * mib && upstream.blobBytes === before;
    before = upstream.blobBytes;
    return still;
  });
  assert.ok(diskBytes(dataDir) <= room.bytes, `${diskBytes(dataDir)} bytes`);
  shared.clock.advance(59_000);
  assert.equal(repairs, 0);
  room.answer(true);
  assert.equal(await flight.over, undefined);
  assert.deepEqual([room.asked, diskBytes(dataDir) >= blob.length], [[blob.length], true]);
});

test('what waits for its next reader stays recorded, also when there is no room for more of it', async (t) => {
  const scene = await setScene(t, { layers: [6 * mib], config: { cache: { idleFlight: '1s' } } });
  const { mirror, upstream } = scene;
  await fetchRaw(scene.manifestUrl);
  upstream.faults.push(slow(100_000, { times: always }));
  await fetchRaw(scene.layerUrl, { onBytes: (received) => received < mib / 8 });
  await until(async () => /^weir_flights 0$/m.test(await mirror.metrics()));
  assert.ok(diskBytes(mirror.dataDir) > 0);
  upstream.faults.splice(0);
  const full = { ...upstreamConfig(upstream.url), cache: { minFree: '99.9%' }, dataDir: mirror.dataDir };
  mirror.mirror.reconfigure(settingsOf(full));
  const answer = await fetchRaw(scene.layerUrl);
  assert.ok(answer.complete && answer.body.equals(scene.layer));
  await mirror.close();
  assert.deepEqual(await disagreements(mirror.dataDir), { wrong: [], missing: [], orphans: [] });
});
