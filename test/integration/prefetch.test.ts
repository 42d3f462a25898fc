import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { stallAfter } from '../support/faults.ts';
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
