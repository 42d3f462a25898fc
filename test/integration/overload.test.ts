import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

test('with maxStreams blobs on their way no pull begins, and those that have begun go on', async (t) => {
  const { mirror, manifestUrl, layerUrl, blobUrl, image } = await setScene(t, {
    layers: [30_000_000, 1000],
    config: { clients: { maxStreams: 1 } },
  });
  await fetchRaw(manifestUrl);
  const lazy = get(layerUrl);
  const [response] = await once(lazy, 'response');
  response.pause();
  for (const url of [`${mirror.url}/v2/`, manifestUrl, layerUrl.replace('team/app', 'team/other')]) {
    const { status, body } = await fetchRaw(url);
    assert.deepEqual([status, JSON.parse(body.toString()).errors[0].code], [503, 'UNAVAILABLE'], url);
  }
  const [, second = Buffer.alloc(0)] = image.layers;
  assert.ok((await fetchRaw(blobUrl(digestOf(second)))).body.equals(second));
  assert.equal((await fetchRaw(manifestUrl.replace('v1', image.manifest.digest))).status, 503);
  assert.equal((await fetchRaw(`${mirror.url}/readyz`)).status, 200);
  lazy.destroy();
  await until(async () => (await fetchRaw(`${mirror.url}/v2/`)).status === 200);
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
});
