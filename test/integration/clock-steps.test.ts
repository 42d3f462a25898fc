import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, status } from '../support/faults.ts';
import { startMirror, type TestMirror, upstreamConfig } from '../support/mirror.ts';
import { pullAll, setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

// The wall clock is set forward and back by hours, while time goes on as it does.

const minutes = 60_000;
const hours = 60 * minutes;

async function setClockedScene(t: TestContext, upstream: object = {}) {
  const clock = new FakeClock();
  const scene = await setScene(t, { upstream: { tagTtl: '5m', staleIfError: '1h', ...upstream }, mirror: { clock } });
  /** How the tag is answered, and how often the upstream is asked for that. */
  const ask = async () => {
    const before = scene.upstream.seen.length;
    const { status: code } = await fetchRaw(scene.manifestUrl);
    return [code, scene.upstream.seen.length - before];
  };
  return { ...scene, clock, ask };
}

test('a step of the clock makes no tag fresh for longer: it is asked for once more, and then every tagTtl', async (t) => {
  const scene = await setClockedScene(t);
  await pullAll(scene);
  for (const ms of [3 * hours, -3 * hours, -5 * hours, 24 * hours]) {
    scene.clock.step(ms);
    assert.deepEqual(await scene.ask(), [200, 1]);
    scene.clock.advance(4 * minutes);
    assert.deepEqual(await scene.ask(), [200, 0]);
    scene.clock.advance(2 * minutes);
    assert.deepEqual(await scene.ask(), [200, 1]);
  }
});

test('what was recorded before the clock was set back is served stale for as long as other tags are, and no longer', async (t) => {
  const scene = await setClockedScene(t);
  scene.clock.advance(10 * hours);
  await pullAll(scene);
  scene.clock.step(-5 * hours);
  scene.upstream.faults.push(status(500, { times: always, only: () => true }));
  for (const [ms, code] of [
    [0, 200],
    [55 * minutes, 200],
    [10 * minutes, 502],
  ] as const) {
    scene.clock.advance(ms);
    assert.equal((await scene.ask())[0], code);
  }
  scene.upstream.faults.length = 0;
  scene.clock.advance(minutes);
  assert.equal((await scene.ask())[0], 200);
});

test('a tag that was absent is found once it is there, however the clock was set', async (t) => {
  const scene = await setClockedScene(t);
  scene.upstream.removeTag('team/app', 'v1');
  for (const ms of [0, 3 * hours, -3 * hours]) {
    scene.clock.step(ms);
    assert.deepEqual(await scene.ask(), [404, 1]);
    assert.deepEqual(await scene.ask(), [404, 0]);
  }
  scene.clock.step(-3 * hours);
  scene.upstream.push('team/app', 'v1', scene.image);
  assert.equal((await scene.ask())[0], 200);
});

test('tokens end when they end, and permissions are asked for again in time, however the clock was set', async (t) => {
  const passwordFile = join(tempDir(), 'password');
  writeFileSync(passwordFile, 'secret');
  const scene = await setClockedScene(t, { credentials: { username: 'mirror', passwordFile } });
  const tokens: string[] = [];
  scene.upstream.requireTokens({ expiresIn: 3600, admits: (login) => tokens.push(login ?? 'nobody') > 0 });
  const blob = async () => (await fetchRaw(scene.layerUrl)).status;
  await pullAll(scene);
  const [digest] = scene.image.layers.map((layer) => digestOf(layer));
  assert.ok(digest);
  const bought = tokens.length;
  for (const ms of [2 * hours, -6 * hours]) {
    scene.clock.step(ms);
    assert.deepEqual([await scene.ask(), await blob()], [[200, 1], 200]);
    assert.equal(tokens.length, bought);
  }
  scene.clock.advance(hours);
  await scene.ask();
  assert.ok(tokens.length > bought);
  scene.clock.step(-6 * hours);
  scene.upstream.faults.push(status(403, { times: always, only: () => true }));
  scene.clock.advance(6 * minutes);
  assert.equal(await blob(), 404);
});

test('of an upstream that fails, a permission from before the clock was set back ends as well', async (t) => {
  const passwordFile = join(tempDir(), 'password');
  writeFileSync(passwordFile, 'secret');
  const scene = await setClockedScene(t, { credentials: { username: 'mirror', passwordFile } });
  const blob = async () => (await fetchRaw(scene.layerUrl)).status;
  await pullAll(scene);
  scene.clock.step(-5 * hours);
  scene.upstream.faults.push(status(503, { times: always, only: () => true }));
  scene.clock.advance(6 * minutes);
  assert.equal(await blob(), 200);
  scene.clock.advance(65 * minutes);
  assert.equal(await blob(), 502);
});

test('what was used last goes last, also where the clock was set back since, or before a restart', async (t) => {
  const clock = new FakeClock();
  const dataDir = tempDir();
  const cache = { maxSize: '2200kB', verifySample: 0 };
  const scene = await setScene(t, {
    layers: [999_000, 998_000, 997_000],
    mirror: { clock, dataDir },
    config: { cache },
  });
  const [first, second, third] = scene.image.layers.map((layer) => digestOf(layer));
  assert.ok(first && second && third);
  await fetchRaw(scene.manifestUrl);
  const bring = async (mirror: TestMirror, digest: string) => {
    clock.advance(1000);
    const before = scene.upstream.blobBytes;
    assert.equal((await fetchRaw(`${mirror.url}/v2/team/app/blobs/${digest}`)).status, 200);
    await until(async () => /^weir_flights 0$/m.test(await mirror.metrics()));
    return scene.upstream.blobBytes > before ? 'miss' : 'hit';
  };
  clock.step(5 * hours);
  assert.equal(await bring(scene.mirror, first), 'miss');
  clock.step(-5 * hours);
  assert.equal(await bring(scene.mirror, second), 'miss');
  assert.equal(await bring(scene.mirror, third), 'miss');
  assert.equal(await bring(scene.mirror, second), 'hit');
  await scene.mirror.close();
  clock.step(-5 * hours);
  const next = await startMirror(t, { clock, dataDir, config: { ...upstreamConfig(scene.upstream.url), cache } });
  assert.equal(await bring(next, third), 'hit');
  assert.equal(await bring(next, first), 'miss');
  assert.equal(await bring(next, third), 'hit');
  assert.equal(await bring(next, second), 'miss');
});
