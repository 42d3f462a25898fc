import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, status } from '../support/faults.ts';
import { type FixtureImage, makeImage } from '../support/images.ts';
import { startMirror, type TestMirror, upstreamConfig } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';
import { type Scene, setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';

const minutes = 60_000;

interface Private extends Scene {
  readonly clock: FakeClock;
  readonly passwordFile: string;
  /** How often the upstream is asked while these are pulled by digest; and what comes of it. */
  pull(): Promise<{ manifest: number; layer: number; questions: number }>;
}

/** An image that is held, of a repository that is read with a login. */
async function holdPrivate(t: TestContext, more: object = {}): Promise<Private> {
  const clock = new FakeClock();
  const passwordFile = join(tempDir(), 'password');
  writeFileSync(passwordFile, 'secret');
  const upstream = { credentials: { username: 'mirror', passwordFile }, tagTtl: '5m', staleIfError: '1h', ...more };
  const scene = await setScene(t, { layers: [10_000], upstream, mirror: { clock } });
  const byDigest = scene.manifestUrl.replace(/v1$/, scene.image.manifest.digest);
  const pull = async () => {
    const before = scene.upstream.seen.length;
    const manifest = (await fetchRaw(byDigest)).status;
    const layer = (await fetchRaw(scene.layerUrl)).status;
    return { manifest, layer, questions: scene.upstream.seen.length - before };
  };
  assert.equal((await fetchRaw(scene.manifestUrl)).status, 200);
  // An upstream that fails is promised for only where all blobs are held.
  await fetchRaw(scene.blobUrl(digestOf(scene.image.config)));
  await pull();
  assert.deepEqual(await pull(), { manifest: 200, layer: 200, questions: 0 });
  return { ...scene, clock, passwordFile, pull };
}

const refusal = (code: number) => status(code, { times: always, only: () => true });

test('a repository that is read with a login is asked again once its answer is older than tagTtl', async (t) => {
  const { clock, pull } = await holdPrivate(t);
  for (let round = 0; round < 3; round++) {
    clock.advance(4 * minutes);
    assert.deepEqual(await pull(), { manifest: 200, layer: 200, questions: 0 });
    clock.advance(2 * minutes);
    assert.deepEqual(await pull(), { manifest: 200, layer: 200, questions: 1 });
  }
});

test('a login that was revoked opens nothing any more, however much is held', async (t) => {
  const { clock, pull, upstream } = await holdPrivate(t);
  upstream.faults.push(refusal(403));
  clock.advance(6 * minutes);
  const { manifest, layer } = await pull();
  assert.deepEqual([manifest, layer], [404, 404]);
  upstream.faults.length = 0;
  clock.advance(minutes);
  assert.deepEqual(await pull(), { manifest: 200, layer: 200, questions: 1 });
});

test('that the upstream fails, or our login, is no denial: what is held is served as long as stale tags are', async (t) => {
  const { clock, pull, upstream, passwordFile } = await holdPrivate(t);
  upstream.faults.push(refusal(503));
  clock.advance(6 * minutes);
  assert.deepEqual(Object.values(await pull()).slice(0, 2), [200, 200]);
  upstream.faults.length = 0;
  upstream.requireBasic('mirror', 'secret');
  await rm(passwordFile);
  clock.advance(6 * minutes);
  assert.deepEqual(await pull(), { manifest: 200, layer: 200, questions: 1 });
  clock.advance(60 * minutes);
  assert.deepEqual(await pull(), { manifest: 502, layer: 502, questions: 2 });
});

test('what the upstream gives to all is served for ever, though our login cannot be read any more', async (t) => {
  const { clock, pull, passwordFile } = await holdPrivate(t);
  await rm(passwordFile);
  for (let round = 0; round < 2; round++) {
    clock.advance(61 * minutes);
    assert.deepEqual(await pull(), { manifest: 200, layer: 200, questions: 1 });
  }
});

test('what was fetched with a login is not open to all once the login is taken away, nor to a mirror without one', async (t) => {
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  const [secret, open] = [makeImage(1000), makeImage(2000)];
  upstream.push('team/secret', 'v1', secret);
  upstream.push('team/open', 'v1', open);
  upstream.requireTokens({
    admits: (authorization, { params }) => authorization !== undefined || !params.get('scope')?.includes('secret'),
  });
  const passwordFile = join(tempDir(), 'password');
  writeFileSync(passwordFile, 'secret');
  const clock = new FakeClock();
  const dataDir = tempDir();
  const pull = async ({ url }: TestMirror, repository: string, { manifest, layers: [layer] }: FixtureImage) => {
    const paths = [`manifests/${manifest.digest}`, `blobs/${digestOf(layer ?? assert.fail())}`];
    return Promise.all(paths.map(async (path) => (await fetchRaw(`${url}/v2/${repository}/${path}`)).status));
  };
  const credentials = { username: 'mirror', passwordFile };
  const before = await startMirror(t, { clock, dataDir, config: upstreamConfig(upstream.url, { credentials }) });
  assert.deepEqual(await pull(before, 'team/secret', secret), [200, 200]);
  await before.close();
  const after = await startMirror(t, { clock, dataDir, config: upstreamConfig(upstream.url) });
  assert.deepEqual(await pull(after, 'team/open', open), [200, 200]);
  const asked = () => upstream.seen.filter(({ path }) => path.includes('/open/')).length;
  const first = asked();
  clock.advance(6 * minutes);
  for (const _ of [1, 2]) assert.ok((await pull(after, 'team/secret', secret)).every((code) => code >= 400));
  assert.deepEqual(await pull(after, 'team/open', open), [200, 200]);
  assert.equal(asked(), first);
});

test('of an upstream that is offline, what was fetched with a login is served, and what was absent stays so', async (t) => {
  const { clock, mirror, image, manifestUrl, blobUrl, layer, passwordFile } = await holdPrivate(t);
  assert.equal((await fetchRaw(manifestUrl.replace(/v1$/, 'v0'))).status, 404);
  await mirror.close();
  await rm(passwordFile);
  clock.advance(365 * 24 * 60 * minutes);
  for (const credentials of [{ username: 'mirror', passwordFile }, undefined]) {
    const upstream = { offline: true, ...(credentials === undefined ? {} : { credentials }) };
    const again = await setScene(t, { upstream, mirror: { clock, dataDir: mirror.dataDir } });
    const status = async (url: string) => (await fetchRaw(url.replace(mirror.url, again.mirror.url))).status;
    const byDigest = manifestUrl.replace(/v1$/, image.manifest.digest);
    for (const url of [manifestUrl, byDigest, blobUrl(digestOf(layer))]) assert.equal(await status(url), 200, url);
    assert.deepEqual([await status(manifestUrl.replace(/v1$/, 'v0')), again.upstream.seen.length], [404, 0]);
    await again.mirror.close();
  }
});

test('a config.json without a login for the upstream makes nothing private', async (t) => {
  const dockerConfig = join(tempDir(), 'config.json');
  writeFileSync(dockerConfig, JSON.stringify({ auths: { 'other.example.com': { auth: 'eDp5' } } }));
  const clock = new FakeClock();
  const config = { credentials: { dockerConfig } };
  const { upstream, layerUrl, manifestUrl } = await setScene(t, { layers: [1000], config, mirror: { clock } });
  await fetchRaw(manifestUrl);
  await fetchRaw(layerUrl);
  clock.advance(24 * 60 * minutes);
  const before = upstream.seen.length;
  assert.equal((await fetchRaw(layerUrl)).status, 200);
  assert.equal(upstream.seen.length, before);
});
