import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { type ClientAnswer, fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, stallAfter, status } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { pullAll, type Scene, setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const minutes = 60_000;
const manifests = (path: string) => path.includes('/manifests/');
const codeOf = ({ body }: ClientAnswer) => JSON.parse(body.toString()).errors[0].code;
const methods = ({ upstream }: Scene) => upstream.seen.map(({ method }) => method);

async function setClockedScene(t: Parameters<typeof setScene>[0], upstream: object = {}) {
  const clock = new FakeClock();
  return { clock, ...(await setScene(t, { mirror: { clock }, upstream })) };
}

test('a tag is served for its time to live, then one HEAD shows that nothing has changed', async (t) => {
  const scene = await setClockedScene(t);
  await pullAll(scene);
  scene.upstream.seen.length = 0;
  scene.clock.advance(4 * minutes);
  await fetchRaw(scene.manifestUrl);
  assert.deepEqual(methods(scene), []);
  scene.clock.advance(2 * minutes);
  await Promise.all(Array.from({ length: 10 }, () => fetchRaw(scene.manifestUrl)));
  await fetchRaw(scene.manifestUrl);
  assert.deepEqual(methods(scene), ['HEAD']);
});

test('a tag that was moved is fetched anew', async (t) => {
  const scene = await setClockedScene(t);
  await fetchRaw(scene.manifestUrl);
  const moved = makeImage(10);
  scene.upstream.push('team/app', 'v1', moved);
  scene.clock.advance(6 * minutes);
  assert.deepEqual((await fetchRaw(scene.manifestUrl)).body, moved.manifest.bytes);
  assert.deepEqual(methods(scene), ['GET', 'HEAD', 'GET']);
});

test('while the upstream fails, a tag is served stale with a warning; after staleIfError it is not', async (t) => {
  const scene = await setClockedScene(t, { staleIfError: '1h' });
  await pullAll(scene);
  for (const fault of [
    status(500, { times: always, only: manifests }),
    status(429, { times: always, only: manifests }),
  ]) {
    scene.upstream.faults.splice(0, 1, fault);
    scene.clock.advance(6 * minutes);
    const stale = await fetchRaw(scene.manifestUrl);
    assert.deepEqual([stale.status, stale.body], [200, scene.image.manifest.bytes]);
    assert.match(String(stale.headers['warning']), /^299 - "[^"]*"$/);
  }
  await scene.upstream.close();
  assert.equal((await fetchRaw(scene.manifestUrl)).status, 200);
  scene.clock.advance(61 * minutes);
  const gone = await fetchRaw(scene.manifestUrl);
  assert.equal(gone.status, 503);
  assert.equal(gone.headers['www-authenticate'], undefined);
});

test('a 404 is believed at once, and remembered for a short time', async (t) => {
  const scene = await setClockedScene(t);
  await fetchRaw(scene.manifestUrl);
  scene.upstream.removeTag('team/app', 'v1');
  scene.clock.advance(6 * minutes);
  assert.equal((await fetchRaw(scene.manifestUrl)).status, 404);
  const asked = scene.upstream.seen.length;
  assert.equal((await fetchRaw(scene.manifestUrl)).status, 404);
  assert.equal(scene.upstream.seen.length, asked);
  scene.upstream.push('team/app', 'v1', scene.image);
  scene.clock.advance(11_000);
  assert.equal((await fetchRaw(scene.manifestUrl)).status, 200);
});

test('an absence is remembered for when the upstream is down', async (t) => {
  const scene = await setClockedScene(t);
  const signature = scene.manifestUrl.replace('v1', `sha256-${'a'.repeat(64)}.sig`);
  assert.equal((await fetchRaw(signature)).status, 404);
  await scene.upstream.close();
  scene.clock.advance(60 * minutes);
  const answer = await fetchRaw(signature);
  assert.deepEqual([answer.status, codeOf(answer)], [404, 'MANIFEST_UNKNOWN']);
  const neverAsked = await fetchRaw(signature.replace('aaa', 'bbb'));
  assert.deepEqual([neverAsked.status, codeOf(neverAsked)], [503, 'UNAVAILABLE'], 'nothing is known of it');
});

test('what is held by digest is served without the upstream, for ever', async (t) => {
  const scene = await setClockedScene(t);
  await pullAll(scene);
  await scene.upstream.close();
  scene.clock.advance(365 * 24 * 60 * minutes);
  const answer = await fetchRaw(scene.manifestUrl.replace('v1', scene.image.manifest.digest));
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['warning'], undefined);
});

test('an upstream that cannot be reached is unavailable, and 429 never reaches a client', async (t) => {
  const scene = await setScene(t);
  scene.upstream.faults.push(status(429, { only: manifests, retryAfter: '7' }));
  const limited = await fetchRaw(scene.manifestUrl);
  assert.deepEqual([limited.status, limited.headers['retry-after']], [503, '7']);
  await scene.upstream.close();
  assert.equal((await fetchRaw(scene.manifestUrl)).status, 503);
});

test('an upstream that is silent is a timeout for all who wait, within 8 s', async (t) => {
  const scene = await setScene(t);
  scene.upstream.faults.push(stallAfter(0, 60_000, { only: manifests, times: always }));
  const answers = await Promise.all([fetchRaw(scene.manifestUrl), fetchRaw(scene.manifestUrl)]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [504, 504],
  );
  assert.equal(scene.upstream.seen.length, 1);
});

test('a tag of which nothing is held is waited for until 8 s are almost over, and not given up before', async (t) => {
  const scene = await setClockedScene(t);
  const { clock, manifestUrl, mirror, upstream } = scene;
  upstream.faults.push(stallAfter(0, 600_000, { only: manifests, times: always }));
  const codes: number[] = [];
  const answer = fetchRaw(manifestUrl).then(({ status }) => codes.push(status));
  await until(() => upstream.seen.length > 0);
  clock.advance(7000);
  // Whatever had been said by now would have come before this.
  await mirror.metrics();
  assert.deepEqual(codes, []);
  clock.advance(1000);
  await answer;
  assert.deepEqual([codes, methods(scene)], [[504], ['GET']]);
});

test('a 401 is believed where we are nobody; where our login is what is refused, it says nothing of the tag', async (t) => {
  const passwordFile = join(tempDir(), 'password');
  writeFileSync(passwordFile, 'right');
  for (const credentials of [undefined, { username: 'me', passwordFile }]) {
    const scene = await setClockedScene(t, credentials && { credentials });
    if (credentials) scene.upstream.requireBasic('me', 'right');
    await pullAll(scene);
    scene.upstream.requireBasic('me', 'another');
    scene.clock.advance(6 * minutes);
    const answer = await fetchRaw(scene.manifestUrl);
    assert.equal(answer.status, credentials ? 200 : 404);
    assert.equal(answer.headers['www-authenticate'], undefined);
    assert.equal(answer.headers['warning'] !== undefined, credentials !== undefined);
  }
});

test('a slow upstream holds up nobody who can be served a tag as it was; what it says counts for the next', async (t) => {
  const scene = await setClockedScene(t);
  const { clock, image, manifestUrl, upstream } = scene;
  await pullAll(scene);
  const next = makeImage(100);
  upstream.push('team/app', 'v1', next);
  clock.advance(6 * minutes);
  upstream.faults.push(stallAfter(0, 1500, { only: manifests }));
  const asked = upstream.seen.length;
  const waiting = [fetchRaw(manifestUrl), fetchRaw(manifestUrl)];
  await until(() => upstream.seen.length > asked);
  clock.advance(1100);
  for (const answer of await Promise.all(waiting)) {
    assert.equal(answer.headers['docker-content-digest'], image.manifest.digest);
    assert.match(String(answer.headers['warning']), /^299 - "[^"]*"$/);
  }
  await until(async () => (await fetchRaw(manifestUrl)).headers['docker-content-digest'] === next.manifest.digest);
});

test('offline, what is held is served however old it is, what is not is not there, and the upstream is never asked', async (t) => {
  const scene = await setClockedScene(t);
  await pullAll(scene);
  await scene.mirror.close();
  const again = await setScene(t, {
    upstream: { offline: true },
    mirror: { dataDir: scene.mirror.dataDir, clock: scene.clock },
  });
  scene.clock.advance(365 * 24 * 60 * minutes);
  const { manifestUrl, blobUrl, upstream } = again;
  const manifest = await fetchRaw(manifestUrl);
  assert.deepEqual([manifest.status, manifest.body.equals(scene.image.manifest.bytes)], [200, true]);
  assert.ok((await fetchRaw(blobUrl(digestOf(scene.layer)))).body.equals(scene.layer));
  for (const tag of ['v2', `sha256-${'a'.repeat(64)}.sig`]) {
    const missing = await fetchRaw(manifestUrl.replace('v1', tag));
    assert.deepEqual([missing.status, codeOf(missing)], [404, 'MANIFEST_UNKNOWN']);
  }
  const missing = await fetchRaw(blobUrl(digestOf(again.layer)));
  assert.deepEqual([missing.status, codeOf(missing)], [404, 'BLOB_UNKNOWN']);
  assert.equal(upstream.seen.length, 0);
});
