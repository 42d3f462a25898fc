import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, stallAfter, status } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';
import { pullAll, type Scene, type SceneOptions, setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const manifests = (path: string) => path.includes('/manifests/');
const tokens = (path: string) => path.startsWith('/token');

async function setClockedScene(t: TestContext, options: SceneOptions = {}): Promise<Scene & { clock: FakeClock }> {
  const clock = new FakeClock();
  return { clock, ...(await setScene(t, { ...options, mirror: { clock } })) };
}

const urlOf = ({ manifestUrl }: Scene, tag: string | number) => manifestUrl.replace('v1', String(tag));
const asked = ({ upstream }: Scene) => upstream.seen.filter(({ path }) => manifests(path)).length;

async function statusOf({ mirror }: Scene) {
  const { upstreams, ...rest } = JSON.parse((await fetchRaw(`${mirror.adminUrl}/api/status`)).body.toString());
  return { ...rest, upstream: upstreams.find(({ name }: { name: string }) => name === 'up.test') };
}

test('after a limit, nothing of the kind is asked until it is over; then one request tries, and is waited for', async (t) => {
  const scene = await setClockedScene(t);
  scene.upstream.faults.push(status(429, { only: manifests, retryAfter: '60' }));
  assert.equal((await fetchRaw(scene.manifestUrl)).status, 503);
  for (const left of [60, 50]) {
    const answers = await Promise.all([...Array(20).keys()].map((tag) => fetchRaw(urlOf(scene, tag))));
    for (const { status: code, headers } of answers)
      assert.deepEqual([code, headers['retry-after']], [503, String(left)]);
    scene.clock.advance(10_000);
  }
  assert.equal(asked(scene), 1);
  scene.clock.advance(41_000);
  scene.upstream.faults.push(stallAfter(0, 300, { only: manifests }));
  const trial = fetchRaw(scene.manifestUrl);
  await until(() => asked(scene) === 2);
  for (const { status: code } of await Promise.all([...Array(20).keys()].map((tag) => fetchRaw(urlOf(scene, tag)))))
    assert.equal(code, 503);
  assert.equal((await trial).status, 200);
  assert.equal(asked(scene), 2);
  assert.equal((await fetchRaw(urlOf(scene, 'other'))).status, 404);
});

test('a trial that meets the limit again waits longer each time, where the registry does not say how long', async (t) => {
  const scene = await setClockedScene(t);
  scene.upstream.faults.push(status(429, { only: manifests, times: always }));
  const waits: string[] = [];
  for (let round = 0; round < 6; round++) {
    const { headers } = await fetchRaw(urlOf(scene, round));
    waits.push(String(headers['retry-after']));
    scene.clock.advance(Number(headers['retry-after']) * 1000);
  }
  assert.deepEqual(waits, ['60', '120', '240', '480', '900', '900']);
});

test('a limit on manifests is none on blobs: a pull that has begun goes on, and what is known is served stale', async (t) => {
  const scene = await setClockedScene(t, { layers: [1000, 2000] });
  await fetchRaw(scene.manifestUrl);
  scene.clock.advance(6 * 60_000);
  scene.upstream.faults.push(status(429, { only: manifests, times: always, retryAfter: '600' }));
  const stale = await fetchRaw(scene.manifestUrl);
  assert.equal(stale.status, 200);
  assert.match(String(stale.headers['warning']), /^299 - "[^"]*"$/);
  await pullAll(scene);
  assert.equal(asked(scene), 2);
});

test('one account’s limit is none on another’s', async (t) => {
  const dockerConfig = join(tempDir(), 'config.json');
  const auth = (name: string) => ({ auth: Buffer.from(`${name}:secret`).toString('base64') });
  const scene = await setClockedScene(t, { config: { credentials: { dockerConfig } } });
  const { host } = new URL(scene.upstream.url);
  writeFileSync(
    dockerConfig,
    JSON.stringify({ auths: { [`${host}/team`]: auth('one'), [`${host}/other`]: auth('two') } }),
  );
  scene.upstream.requireTokens();
  scene.upstream.push('other/app', 'v1', scene.image);
  assert.equal((await fetchRaw(scene.manifestUrl)).status, 200);
  assert.equal((await fetchRaw(scene.manifestUrl.replace('team', 'other'))).status, 200);
  const limited = status(429, { only: (path) => path.includes('/team/app/manifests/limited') });
  scene.upstream.faults.push(limited);
  assert.equal((await fetchRaw(urlOf(scene, 'limited'))).status, 503);
  assert.equal((await fetchRaw(urlOf(scene, 'another'))).status, 503);
  assert.equal((await fetchRaw(urlOf(scene, 'another').replace('team', 'other'))).status, 404);
  assert.deepEqual(
    (await statusOf(scene)).upstream.circuits.map(({ login }: { login: string }) => login),
    ['ours'],
  );
});

test('a token service that limits is not asked again and again', async (t) => {
  const scene = await setClockedScene(t);
  let limiting = true;
  scene.upstream.requireTokens({ admits: () => (limiting ? 429 : true) });
  for (const tag of [1, 2, 3]) assert.equal((await fetchRaw(urlOf(scene, tag))).status, 503);
  assert.equal(scene.upstream.seen.filter(({ path }) => tokens(path)).length, 1);
  limiting = false;
  scene.clock.advance(61_000);
  assert.equal((await fetchRaw(scene.manifestUrl)).status, 200);
});

test('a blob that is limited at one endpoint comes from another; limited everywhere, it waits for its time', async (t) => {
  const scene = await setScene(t, { layers: [3_000_000] });
  const other = await FakeRegistry.start();
  t.after(() => other.close());
  other.push('team/app', 'v1', scene.image);
  const config = upstreamConfig([scene.upstream.url, other.url]);
  const both = await startMirror(t, { config });
  const at = (base: string) => scene.layerUrl.replace(scene.mirror.url, base);
  await fetchRaw(scene.manifestUrl.replace(scene.mirror.url, both.url));
  scene.upstream.faults.push(status(429, { retryAfter: '3600', times: 1 }));
  assert.ok((await fetchRaw(at(both.url))).body.equals(scene.layer));
  assert.equal(scene.upstream.blobRequests.length, 1);

  await fetchRaw(scene.manifestUrl);
  scene.upstream.faults.push(status(429, { retryAfter: '1', times: 2 }));
  const before = scene.upstream.blobRequests.length;
  const answer = await fetchRaw(scene.layerUrl, { headers: { 'user-agent': 'cri-o/1.31.2' } });
  assert.ok(answer.body.equals(scene.layer));
  assert.ok(answer.firstByte >= 1900, `${answer.firstByte} ms`);
  assert.ok(scene.upstream.blobRequests.length - before < 12);
});

test('the status shows limits, what is left, and how upstreams do; requests are counted', async (t) => {
  const scene = await setClockedScene(t);
  assert.equal((await statusOf(scene)).upstream.state, 'unknown');
  scene.upstream.remaining = '76;w=21600';
  await pullAll(scene);
  await pullAll(scene);
  const well = await statusOf(scene);
  assert.match(well.version, /^\d+\.\d+\.\d+/);
  assert.ok(well.uptime >= 0 && well.cache.limit > 0);
  assert.ok(well.cache.hitRatio > 0 && well.cache.hitRatio < 1, `${well.cache.hitRatio}`);
  assert.deepEqual([well.upstream.state, well.upstream.rateLimitRemaining], ['up', 76]);
  scene.upstream.faults.push(status(429, { only: manifests, retryAfter: '60' }));
  await fetchRaw(urlOf(scene, 'limited'));
  const limited = await statusOf(scene);
  const reopensAt = new Date(scene.clock.wall() + 60_000).toISOString();
  const endpoint = scene.upstream.url;
  assert.equal(limited.upstream.state, 'limited');
  assert.deepEqual(limited.upstream.circuits, [
    { endpoint, kind: 'manifest', login: 'anonymous', state: 'open', reopensAt },
  ]);
  const metrics = await scene.mirror.metrics();
  const reopens = Date.parse(reopensAt) / 1000;
  assert.match(metrics, /^weir_circuit_open\{upstream="up\.test"\} 1$/m);
  assert.match(
    metrics,
    new RegExp(`^weir_circuit_reopens_timestamp_seconds\\{upstream="up\\.test"\\} ${reopens}$`, 'm'),
  );
  assert.match(metrics, /^weir_upstream_ratelimit_remaining\{upstream="up\.test"\} 76$/m);
  const count = (kind: string, code: string) =>
    new RegExp(
      `^weir_upstream_requests_total\\{upstream="up\\.test",endpoint="${endpoint}",kind="${kind}",code="${code}"\\} [1-9]`,
      'm',
    );
  for (const [kind, code] of [
    ['manifest', '200'],
    ['manifest', '429'],
    ['blob', '206'],
  ])
    assert.match(metrics, count(kind ?? '', code ?? ''));
  await scene.upstream.close();
  await fetchRaw(scene.manifestUrl.replace('team/app', 'team/none'));
  scene.clock.advance(61_000);
  await fetchRaw(scene.manifestUrl.replace('team/app', 'team/nothing'));
  const later = await scene.mirror.metrics();
  assert.match(later, count('manifest', 'unreachable'));
  for (const name of ['open', 'reopens_timestamp_seconds'])
    assert.match(later, new RegExp(`^weir_circuit_${name}\\{upstream="up\\.test"\\} 0$`, 'm'));
});

test('blobs that are arriving are shown: what is held, from where, how fast, and for how many', async (t) => {
  const scene = await setScene(t, { layers: [3_000_000], upstream: { stallTimeout: '60s', connections: 1 } });
  await fetchRaw(scene.manifestUrl);
  scene.upstream.faults.push(stallAfter(2_000_000, 1500));
  const answer = fetchRaw(scene.layerUrl);
  const flights = async () => JSON.parse((await fetchRaw(`${scene.mirror.adminUrl}/api/flights`)).body.toString());
  await until(async () => (await flights())[0]?.held[0]?.[1] >= 1_900_000);
  const [{ held, rate, attempts, ...flight }] = await flights();
  const { layers } = scene.image;
  assert.deepEqual(flight, {
    upstream: 'up.test',
    digest: scene.layerUrl.split('/').at(-1),
    size: layers[0]?.length,
    readers: 1,
    endpoint: scene.upstream.url,
  });
  assert.equal(held[0][0], 0);
  assert.ok(rate > 0 && attempts >= 2, `${rate} ${attempts}`);
  await answer;
  await until(async () => (await flights()).length === 0);
});

test('an image that is not known is asked for once, however many ask while it is limited', async (t) => {
  const scene = await setClockedScene(t);
  scene.upstream.push('team/new', 'v1', makeImage(10));
  scene.upstream.faults.push(status(429, { only: manifests, times: always, body: 'Too Many Requests (HAP429)' }));
  for (let round = 0; round < 30; round++) await fetchRaw(scene.manifestUrl.replace('team/app', 'team/new'));
  assert.equal(asked(scene), 1);
});
