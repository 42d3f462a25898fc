import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { ignoreRange, stallAfter } from '../support/faults.ts';
import { makeImage, makeIndex } from '../support/images.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

const layers = [300_000, 3_000_000, 200_000, 10];

test('with the first layer of a pull, the layers above follow, and are fetched once', async (t) => {
  const { blobUrl, image, layer, layerUrl, manifestUrl, upstream } = await setScene(t, {
    layers,
    config: { prefetch: true },
  });
  await fetchRaw(manifestUrl);
  await fetchRaw(blobUrl(digestOf(image.config)));
  const before = upstream.blobBytes;
  // The node is busy with the first layer as long as this takes.
  upstream.faults.push(stallAfter(100_000, 1500, { only: (path) => path.endsWith(digestOf(layer)) }));
  const first = fetchRaw(layerUrl);
  const all = layers.reduce((sum, size) => sum + size, 0);
  await until(() => upstream.blobBytes - before >= all - 300_000 + 100_000);
  await first;
  for (const each of image.layers) assert.ok((await fetchRaw(blobUrl(digestOf(each)))).body.equals(each));
  assert.equal(upstream.blobBytes - before, all);
});

test('nothing is fetched ahead for who asks only for manifests and the config, or for ranges', async (t) => {
  const { blobUrl, image, layerUrl, manifestUrl, upstream } = await setScene(t, { layers, config: { prefetch: true } });
  await fetchRaw(manifestUrl);
  await fetchRaw(blobUrl(digestOf(image.config)));
  await fetchRaw(layerUrl, { headers: { range: 'bytes=5-9' } });
  const asked = new Set(upstream.blobRequests.map(({ path }) => path));
  assert.equal(asked.size, 2);
});

test('prefetch: false fetches what is asked for, and nothing else', async (t) => {
  const { layerUrl, manifestUrl, upstream } = await setScene(t, { layers, config: { prefetch: false } });
  await fetchRaw(manifestUrl);
  await fetchRaw(layerUrl);
  assert.equal(new Set(upstream.blobRequests.map(({ path }) => path)).size, 1);
});

test('of an upstream that ignores Range, the layers above are fetched ahead too, each as one stream', async (t) => {
  const { blobUrl, image, layer, layerUrl, manifestUrl, upstream } = await setScene(t, {
    layers,
    config: { prefetch: true },
  });
  upstream.faults.push(ignoreRange());
  await fetchRaw(manifestUrl);
  upstream.faults.push(stallAfter(100_000, 1500, { only: (path) => path.endsWith(digestOf(layer)) }));
  const first = fetchRaw(layerUrl);
  const above = layers.slice(1).reduce((sum, size) => sum + size, 0);
  await until(() => upstream.blobBytes >= above + 100_000);
  await first;
  for (const each of image.layers) assert.ok((await fetchRaw(blobUrl(digestOf(each)))).body.equals(each));
  assert.equal(upstream.blobRequests.length, layers.length);
  assert.equal(upstream.blobBytes, above + layer.length);
});

test('only the platform that is pulled is fetched ahead', async (t) => {
  const { mirror, upstream } = await setScene(t, { config: { prefetch: true } });
  const [amd64, arm64] = [makeImage(...layers), makeImage(...layers)];
  for (const image of [amd64, arm64]) upstream.push('team/multi', image.manifest.digest, image);
  upstream.putManifest('team/multi', makeIndex(amd64, arm64), 'v1');
  const url = (rest: string) => `${mirror.url}/v2/team/multi/${rest}`;
  // Clients that list platforms ask for every manifest: what they pull is told by the layer.
  for (const reference of ['v1', amd64.manifest.digest, arm64.manifest.digest])
    await fetchRaw(url(`manifests/${reference}`));
  const [first = Buffer.alloc(0)] = arm64.layers;
  upstream.faults.push(stallAfter(100_000, 1500, { only: (path) => path.endsWith(digestOf(first)) }));
  const all = layers.reduce((sum, size) => sum + size, 0);
  const layer = fetchRaw(url(`blobs/${digestOf(first)}`));
  await until(() => upstream.blobBytes >= all - first.length + 100_000);
  await layer;
  const asked = new Set(upstream.blobRequests.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)));
  assert.deepEqual(asked, new Set(arm64.layers.map((bytes) => digestOf(bytes))));
  assert.equal(upstream.blobBytes, all);
});
