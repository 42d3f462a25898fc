import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { slow, stallAfter } from '../support/faults.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

test('every request is one line of the log, with what an operator wants to know', async (t) => {
  const { mirror, manifestUrl, layerUrl, layer, image } = await setScene(t);
  const headers = { 'user-agent': 'cri-o/1.31.2 go/go1.22.12 os/linux arch/amd64' };
  await fetchRaw(manifestUrl, { headers });
  await fetchRaw(layerUrl, { headers });
  const [first, second, ...more] = mirror.log
    .filter(({ message }) => message === 'request')
    .map(({ fields }) => fields);
  assert.equal(more.length, 0);
  assert.equal(first?.['client'], '127.0.0.1');
  assert.equal(first?.['runtime'], 'cri-o/1.31.2');
  assert.equal(first?.['image'], 'up.test/team/app:v1');
  assert.equal(first?.['digest'], image.manifest.digest);
  assert.equal(first?.['bytes'], undefined);
  assert.equal(second?.['digest'], digestOf(layer));
  assert.equal(second?.['source'], 'flight');
  assert.equal(second?.['bytes'], layer.length);
  for (const key of ['firstByteMs', 'gapMs']) assert.equal(typeof second?.[key], 'number', key);
});

test('a silence of the upstream is the longest gap of the log; a slow client is not', async (t) => {
  const { mirror, manifestUrl, layerUrl, upstream } = await setScene(t, { upstream: { stallTimeout: '60s' } });
  await fetchRaw(manifestUrl);
  upstream.faults.push(stallAfter(1_500_000, 1500));
  await fetchRaw(layerUrl);
  const line = () => mirror.log.find(({ fields }) => fields['route'] === 'blob');
  await until(() => line() !== undefined);
  const gap = Number(line()?.fields['gapMs']);
  assert.ok(gap >= 400 && gap < 5000, `${gap} ms`);
});

test('probes and metrics', async (t) => {
  const { mirror, layerUrl, layer } = await setScene(t);
  assert.equal((await fetchRaw(`${mirror.url}/livez`)).status, 200);
  assert.equal((await fetchRaw(`${mirror.url}/readyz`)).status, 200);
  await fetchRaw(layerUrl);
  const metrics = await mirror.metrics();
  assert.match(metrics, new RegExp(`weir_served_bytes_total\\{source="flight"\\} ${layer.length}`));
  assert.match(metrics, /weir_requests_total\{route="blob",code="200"\} 1/);
  assert.match(metrics, /nodejs_eventloop_lag_seconds/);
  assert.equal((await fetchRaw(`${mirror.url}/metrics`)).status, 404);
});

test('while draining, no pull begins, those that have begun go on, and it ends when they have', async (t) => {
  const { mirror, manifestUrl, layerUrl, blobUrl, layer, image, upstream } = await setScene(t, {
    layers: [2_000_000, 1000],
  });
  await fetchRaw(manifestUrl);
  upstream.faults.push(slow(4_000_000));
  let drained: Promise<void> | undefined;
  let ended = false;
  const whole = fetchRaw(layerUrl, {
    onBytes: () => {
      drained ??= mirror.mirror.drain().then(() => {
        ended = true;
      });
      return undefined;
    },
  });
  const body = await whole;
  assert.ok(body.body.equals(layer));
  assert.equal(ended, false);
  const refused = [
    `${mirror.url}/v2/`,
    manifestUrl,
    `${mirror.url}/v2/team/app/manifests/${digestOf(Buffer.from('x'))}`,
  ];
  for (const url of refused) assert.equal((await fetchRaw(url)).status, 503, url);
  assert.equal((await fetchRaw(`${mirror.url}/readyz`)).status, 503);
  assert.equal((await fetchRaw(`${mirror.url}/livez`)).status, 200);
  const [, second = Buffer.alloc(0)] = image.layers;
  assert.ok((await fetchRaw(blobUrl(digestOf(second)))).body.equals(second));
  await drained;
  assert.equal(ended, true);
});

test('while draining, a blob that was asked for long ago is waited for, before its first byte too', async (t) => {
  const clock = new FakeClock();
  const { mirror, manifestUrl, layerUrl, layer, upstream } = await setScene(t, {
    upstream: { stallTimeout: '60s' },
    mirror: { clock },
  });
  await fetchRaw(manifestUrl);
  upstream.faults.push(stallAfter(0, 1000));
  const whole = fetchRaw(layerUrl);
  await until(() => upstream.blobRequests.length > 0);
  clock.advance(4000);
  let ended = false;
  const drained = mirror.mirror.drain().then(() => {
    ended = true;
  });
  assert.equal((await fetchRaw(`${mirror.url}/readyz`)).status, 503);
  assert.equal(ended, false);
  assert.ok((await whole).body.equals(layer));
  await until(() => {
    clock.advance(100);
    return ended;
  });
  await drained;
});

test('drainTimeout cuts what is not done, and what has come is kept', async (t) => {
  const scene = await setScene(t, {
    layers: [4_000_000],
    config: { drainTimeout: '200ms' },
    upstream: { stallTimeout: '60s' },
  });
  await fetchRaw(scene.manifestUrl);
  scene.upstream.faults.push(stallAfter(2_500_000, 60_000));
  let closed: Promise<void> | undefined;
  const cut = await fetchRaw(scene.layerUrl, {
    onBytes: () => {
      closed ??= scene.mirror.mirror.drain().then(() => scene.mirror.close());
      return undefined;
    },
  });
  await closed;
  assert.equal(cut.complete, false);
  assert.equal((await readdir(join(scene.mirror.dataDir, 'ingest'))).length, 1);
});

test('the cache stays within its size: what was used least recently goes', async (t) => {
  const clock = new FakeClock();
  const { mirror, blobUrl, image, upstream } = await setScene(t, {
    layers: [400_000, 400_000, 400_000],
    config: { cache: { maxSize: '1MB' } },
    mirror: { clock },
  });
  const [a, b, c] = image.layers.map((bytes) => blobUrl(digestOf(bytes)));
  const says = (text: string) => until(async () => (await mirror.metrics()).includes(text));
  await fetchRaw(String(a));
  await says('weir_cache_bytes 400000');
  clock.advance(1000);
  await fetchRaw(String(b));
  await says('weir_cache_bytes 800000');
  clock.advance(1000);
  await fetchRaw(String(a));
  clock.advance(1000);
  await fetchRaw(String(c));
  await says('weir_cache_evicted_bytes_total 400000');
  const before = upstream.blobBytes;
  assert.ok((await fetchRaw(String(a))).complete);
  assert.equal(upstream.blobBytes, before);
  assert.ok((await fetchRaw(String(b))).complete);
  // With the byte that shows that the repository has it.
  assert.equal(upstream.blobBytes, before + 400_001);
});

test('the log names the client that a trusted proxy names, and the proxy where it is not trusted', async (t) => {
  for (const [trustProxy, client] of [
    [['127.0.0.0/8'], '203.0.113.9'],
    [['10.0.0.0/8'], '127.0.0.1'],
  ] as const) {
    const { mirror } = await setScene(t, { config: { clients: { trustProxy } } });
    await fetchRaw(`${mirror.url}/v2/`, { headers: { 'x-forwarded-for': '198.51.100.1, 203.0.113.9' } });
    await until(() => mirror.log.some(({ message }) => message === 'request'));
    assert.equal(mirror.log.find(({ message }) => message === 'request')?.fields['client'], client);
  }
});
