import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { always, stallAfter } from '../support/faults.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

const size = 100_000;

test('however many blobs are silent, one that is not comes at once', async (t) => {
  const connections = 4;
  const { blobUrl, image, manifestUrl, upstream } = await setScene(t, {
    layers: Array.from({ length: 7 }, () => size),
    upstream: { connections, stallTimeout: '2s' },
  });
  await fetchRaw(manifestUrl);
  const [well = Buffer.alloc(0), ...silent] = image.layers;
  const digests = silent.map((layer) => digestOf(layer));
  const isSilent = (path: string) => digests.some((digest) => path.endsWith(digest));
  upstream.faults.push(stallAfter(0, 600_000, { times: always, only: isSilent }));
  const leaving = new AbortController();
  const waiting = silent.map((layer) => fetch(blobUrl(digestOf(layer)), { signal: leaving.signal }).catch(() => {}));
  // As many as are silent at a time, and what is asked for when they have been for too long.
  await until(() => upstream.blobRequests.length > connections);
  const answer = await fetchRaw(blobUrl(digestOf(well)));
  assert.ok(answer.body.equals(well));
  assert.ok(answer.firstByte < 1000, `${answer.firstByte} ms`);
  const asked = upstream.blobRequests.length;
  assert.ok(asked <= 2 * connections + 1, `${asked} requests`);
  leaving.abort();
  await Promise.all(waiting);
});
