import assert from 'node:assert/strict';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digestOf, hexOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, type Fault, refuse, stallAfter, status } from '../support/faults.ts';
import { makeImage, makeIndex } from '../support/images.ts';
import { type Scene, setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

/** Longer than an answer of the upstream counts as a sign of life, and shorter than a tag is fresh. */
const aWhile = 60_000;
const everything = () => true;

interface Holding extends Scene {
  readonly clock: FakeClock;
  readonly byDigest: string;
}

/** A mirror that holds a manifest of two layers, and the first so many of its blobs. Its upstream was not asked lately. */
async function hold(t: TestContext, blobs: number): Promise<Holding> {
  const clock = new FakeClock();
  const scene = await setScene(t, { layers: [1000, 2000], mirror: { clock } });
  await fetchRaw(scene.manifestUrl);
  for (const digest of [...scene.image.blobs.keys()].slice(0, blobs)) await fetchRaw(scene.blobUrl(digest));
  clock.advance(aWhile);
  scene.upstream.seen.length = 0;
  return { ...scene, clock, byDigest: scene.manifestUrl.replace('v1', scene.image.manifest.digest) };
}

/** The upstream does nothing but this from now on. */
function onlyDo({ upstream }: Scene, fault: Fault): void {
  upstream.faults.splice(0, upstream.faults.length, fault);
}

test('a manifest whose blobs are all held is served without a look at the upstream', async (t) => {
  const scene = await hold(t, 3);
  await scene.upstream.close();
  for (const url of [scene.manifestUrl, scene.byDigest]) assert.equal((await fetchRaw(url)).status, 200);
});

test('a manifest with blobs missing is not promised while the upstream is down', async (t) => {
  const scene = await hold(t, 2);
  onlyDo(scene, refuse({ times: always, only: everything }));
  for (const url of [scene.manifestUrl, scene.byDigest]) {
    for (const method of ['GET', 'HEAD']) {
      const { status: code, headers } = await fetchRaw(url, { method });
      assert.ok(code === 502 || code === 503, `${method} ${url}: ${code}`);
      assert.equal(headers['www-authenticate'], undefined);
    }
  }
  await scene.upstream.close();
  assert.equal((await fetchRaw(scene.byDigest)).status, 503);
  scene.clock.advance(10 * aWhile);
  assert.equal((await fetchRaw(scene.manifestUrl)).status, 503, 'stale is no better');
});

test('all who ask for it share one look at the upstream, and are told within 8 s that there is no answer', async (t) => {
  const scene = await hold(t, 2);
  onlyDo(scene, stallAfter(0, 600_000, { times: always, only: everything }));
  const answers = [...Array(20)].map(() => fetchRaw(scene.manifestUrl));
  const askedFor = /weir_cache_requests_total\{kind="manifest",result="hit"\} 20/;
  await until(async () => scene.upstream.seen.length > 0 && askedFor.test(await scene.mirror.metrics()));
  scene.clock.advance(8000);
  for (const { status: code } of await Promise.all(answers)) assert.equal(code, 504);
  assert.deepEqual(
    scene.upstream.seen.map(({ method }) => method),
    ['HEAD'],
  );
});

test('an upstream that answers is there, whatever it says of the manifest: also where it limits them', async (t) => {
  for (const code of [404, 403, 401, 429]) {
    const scene = await hold(t, 1);
    onlyDo(scene, status(code, { times: always, only: (path) => path.includes('/manifests/') }));
    assert.equal((await fetchRaw(scene.byDigest)).status, 200, String(code));
    scene.clock.advance(10 * aWhile);
    assert.equal((await fetchRaw(scene.manifestUrl)).status, code === 429 ? 200 : 404, `${code}, stale`);
  }
});

test('an upstream that has just answered is not asked whether it is there', async (t) => {
  const scene = await hold(t, 0);
  for (const url of [scene.byDigest, scene.manifestUrl, scene.byDigest])
    assert.equal((await fetchRaw(url)).status, 200);
  assert.equal(scene.upstream.seen.length, 1);
});

test('a blob that has gone takes the promise with it', async (t) => {
  const scene = await hold(t, 3);
  const { seen } = scene.upstream;
  await until(async () => (await fetchRaw(scene.byDigest)).status === 200 && seen.length === 0);
  await until(async () => /^weir_flights 0$/m.test(await scene.mirror.metrics()));
  const hex = hexOf(digestOf(scene.layer));
  await unlink(join(scene.mirror.dataDir, 'blobs', 'sha256', hex.slice(0, 2), hex));
  // It is missed when it is asked for; it does not come again.
  scene.upstream.faults.push(status(404, { times: always }));
  assert.equal((await fetchRaw(scene.layerUrl)).status, 404);
  scene.clock.advance(aWhile);
  await scene.upstream.close();
  assert.equal((await fetchRaw(scene.byDigest)).status, 503);
});

test('an index is promised when one of its manifests is: the one that was pulled through here', async (t) => {
  const scene = await hold(t, 3);
  const index = makeIndex(makeImage(10), scene.image, makeImage(20));
  const unknown = makeIndex(makeImage(30));
  scene.upstream.putManifest('team/app', index, 'index');
  scene.upstream.putManifest('team/app', unknown, 'unknown');
  const urlOf = (tag: string) => scene.manifestUrl.replace('v1', tag);
  for (const tag of ['index', 'unknown']) assert.equal((await fetchRaw(urlOf(tag))).status, 200, tag);
  scene.clock.advance(aWhile);
  await scene.upstream.close();
  assert.equal((await fetchRaw(urlOf('index'))).status, 200);
  assert.equal((await fetchRaw(urlOf('unknown'))).status, 503);
});
