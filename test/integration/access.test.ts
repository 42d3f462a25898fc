import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { redirectTo, status } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { startMirror } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';
import { setScene } from '../support/scene.ts';

test('a blob is not served to a repository only because another one brought it here', async (t) => {
  const { mirror, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(layerUrl);
  upstream.push('team/other', 'v1', makeImage(1));
  const stolen = await fetchRaw(`${mirror.url}/v2/team/other/blobs/${digestOf(layer)}`);
  assert.equal(stolen.status, 404);
  assert.equal(
    (await fetchRaw(`${mirror.url}/v2/team/other/blobs/${digestOf(layer)}`, { method: 'HEAD' })).status,
    404,
  );
});

test('nor is an arriving one, nor a manifest', async (t) => {
  const { mirror, layerUrl, manifestUrl, layer, image } = await setScene(t);
  await fetchRaw(manifestUrl);
  const [arriving, stolen] = await Promise.all([
    fetchRaw(layerUrl),
    fetchRaw(`${mirror.url}/v2/team/other/blobs/${digestOf(layer)}`),
  ]);
  assert.deepEqual([arriving.status, stolen.status], [200, 404]);
  assert.equal((await fetchRaw(`${mirror.url}/v2/team/other/manifests/${image.manifest.digest}`)).status, 404);
});

test('nor because its registry leads on whoever asks, to where it is not', async (t) => {
  const one = await FakeRegistry.start();
  const two = await FakeRegistry.start();
  const elsewhere = await FakeRegistry.start();
  t.after(() => Promise.all([one.close(), two.close(), elsewhere.close()]));
  const image = makeImage(100_000);
  one.push('app', 'v1', image);
  two.faults.push(redirectTo(elsewhere.url));
  const upstreams = {
    one: { endpoints: [one.url], insecure: true },
    two: { endpoints: [two.url], insecure: true, privateNetwork: true },
  };
  const mirror = await startMirror(t, { config: { upstreams } });
  await fetchRaw(`${mirror.url}/v2/one/app/manifests/v1`);
  const digest = digestOf(image.layers[0] ?? Buffer.alloc(0));
  assert.equal((await fetchRaw(`${mirror.url}/v2/one/app/blobs/${digest}`)).status, 200);
  assert.equal((await fetchRaw(`${mirror.url}/v2/two/made/up/blobs/${digest}`)).status, 404);
});

test('a blob that is held is served to another repository that has it, without fetching it again', async (t) => {
  const { mirror, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(layerUrl);
  const fetched = upstream.blobBytes;
  upstream.putBlob('team/other', layer);
  const answer = await fetchRaw(`${mirror.url}/v2/team/other/blobs/${digestOf(layer)}`);
  assert.ok(answer.body.equals(layer));
  assert.ok(upstream.blobBytes - fetched <= 1);
});

test('a repository whose manifest names a blob may read it without asking', async (t) => {
  const { mirror, layerUrl, upstream, image } = await setScene(t);
  await fetchRaw(layerUrl);
  upstream.push('team/fork', 'v1', image);
  await fetchRaw(`${mirror.url}/v2/team/fork/manifests/v1`);
  const before = upstream.blobRequests.length;
  const [digest = image.manifest.digest] = image.layers.map((bytes) => digestOf(bytes));
  assert.equal((await fetchRaw(`${mirror.url}/v2/team/fork/blobs/${digest}`)).status, 200);
  assert.equal(upstream.blobRequests.length, before);
});

test('verified blobs are shared across upstreams, each asked for access', async (t) => {
  const one = await FakeRegistry.start();
  const two = await FakeRegistry.start();
  t.after(() => Promise.all([one.close(), two.close()]));
  const image = makeImage(100_000);
  one.push('app', 'v1', image);
  two.push('app', 'v1', image);
  const upstreams = {
    'one.test': { endpoints: [one.url], insecure: true },
    'two.test': { endpoints: [two.url], insecure: true },
  };
  const mirror = await startMirror(t, { config: { upstreams } });
  const [layer = Buffer.alloc(0)] = image.layers;
  for (const name of ['one.test', 'two.test']) {
    await fetchRaw(`${mirror.url}/v2/${name}/app/manifests/v1`);
    assert.ok((await fetchRaw(`${mirror.url}/v2/${name}/app/blobs/${digestOf(layer)}`)).body.equals(layer));
  }
  assert.equal(one.blobBytes, layer.length);
  assert.equal(two.blobBytes, 0);
});

test('many who ask at once for a blob that no manifest names ask the upstream once', async (t) => {
  const { mirror, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(layerUrl);
  upstream.putBlob('team/other', layer);
  upstream.seen.length = 0;
  const url = `${mirror.url}/v2/team/other/blobs/${digestOf(layer)}`;
  const answers = await Promise.all(Array.from({ length: 20 }, () => fetchRaw(url)));
  assert.ok(answers.every(({ body }) => body.equals(layer)));
  assert.equal(upstream.seen.length, 1);
});

test('an upstream that fails is asked once more whether a repository has a blob', async (t) => {
  const { mirror, layerUrl, layer, image, upstream } = await setScene(t);
  await fetchRaw(layerUrl);
  upstream.push('team/other', 'v1', image);
  upstream.seen.length = 0;
  upstream.faults.push(status(503));
  const again = await fetchRaw(`${mirror.url}/v2/team/other/blobs/${digestOf(layer)}`);
  assert.deepEqual([again.status, upstream.seen.length], [200, 2]);
});

test('that an upstream cannot say whether a repository has a blob is a failure, not an absence', async (t) => {
  const { mirror, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(layerUrl);
  await upstream.close();
  assert.equal((await fetchRaw(`${mirror.url}/v2/team/other/blobs/${digestOf(layer)}`)).status, 503);
  assert.equal((await fetchRaw(layerUrl)).status, 200);
});
