import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { slow } from '../support/faults.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

const mib = 1024 * 1024;

test('a blob that comes fast is brought by one connection, and by more when it becomes slow', async (t) => {
  const clock = new FakeClock();
  const layers = [8 * mib, 24 * mib, 80 * mib];
  const { blobUrl, image, manifestUrl, upstream } = await setScene(t, { layers, mirror: { clock } });
  await fetchRaw(manifestUrl);
  const [first = '', second = '', third = ''] = image.layers.map((layer) => blobUrl(digestOf(layer)));
  const asked = (url: string) => upstream.blobRequests.filter(({ path }) => url.endsWith(path)).length;
  // While the clock stands still, everything is as fast as can be: that is learned here.
  assert.equal((await fetchRaw(first)).body.length, 8 * mib);
  assert.equal((await fetchRaw(second)).body.length, 24 * mib);
  assert.equal(asked(second), 2);

  upstream.faults.push(slow(4_000_000, { only: (path) => third.endsWith(path) }));
  const leaving = new AbortController();
  const reading = fetch(third, { signal: leaving.signal }).then((response) => response.arrayBuffer());
  reading.catch(() => {});
  await until(() => asked(third) >= 2);
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(asked(third), 2);
  clock.advance(1000);
  await until(() => asked(third) > 2);
  leaving.abort();
  await assert.rejects(reading);
});
