import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { always, ignoreRange, resetAfter, slow, stallAfter, status } from '../support/faults.ts';
import { FakeRegistry } from '../support/registry.ts';
import { setScene } from '../support/scene.ts';

test('one download, however many ask', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(manifestUrl);
  const answers = await Promise.all(Array.from({ length: 50 }, () => fetchRaw(layerUrl)));
  assert.ok(answers.every(({ body }) => body.equals(layer)));
  assert.equal(upstream.blobBytes, layer.length);
});

test('clients that leave disturb nobody, and the download goes on without any', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { layers: [5_000_000] });
  await fetchRaw(manifestUrl);
  upstream.faults.push(slow(20_000_000));
  const leave = (received: number) => (received > 100_000 ? false : undefined);
  const [stays] = await Promise.all([fetchRaw(layerUrl), fetchRaw(layerUrl, { onBytes: leave })]);
  assert.ok(stays.body.equals(layer));
  const alone = await setScene(t, { layers: [5_000_000] });
  await fetchRaw(alone.manifestUrl);
  await fetchRaw(alone.layerUrl, { onBytes: leave });
  assert.ok((await fetchRaw(alone.layerUrl)).body.equals(alone.layer));
  assert.equal(alone.upstream.blobBytes, alone.layer.length);
});

test('the blobs that are arriving now are counted', async (t) => {
  const { mirror, manifestUrl, layerUrl, upstream } = await setScene(t, { upstream: { stallTimeout: '60s' } });
  await fetchRaw(manifestUrl);
  upstream.faults.push(stallAfter(1_000_000, 60_000));
  await fetchRaw(layerUrl, { onBytes: () => false });
  assert.match(await mirror.metrics(), /^weir_flights 1$/m);
});

test('a client that stops reading holds up nobody', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { layers: [30_000_000] });
  await fetchRaw(manifestUrl);
  const lazy = get(layerUrl);
  const [response] = await once(lazy, 'response');
  response.pause();
  const answer = await fetchRaw(layerUrl);
  assert.ok(answer.body.equals(layer));
  assert.equal(upstream.blobBytes, layer.length);
  lazy.destroy();
});

test('a late-comer gets at once what is there, and the rest as it comes', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { upstream: { stallTimeout: '30s' } });
  await fetchRaw(manifestUrl);
  upstream.faults.push(stallAfter(2_000_000, 400));
  let joined: ReturnType<typeof fetchRaw> | undefined;
  let begun = false;
  const onBytes = () => {
    begun = true;
    return undefined;
  };
  const first = await fetchRaw(layerUrl, {
    onBytes: (received) => {
      if (received > 1_000_000) joined ??= fetchRaw(layerUrl, { onBytes });
      return undefined;
    },
  });
  assert.ok(begun, 'the late-comer had nothing when the first client had everything');
  assert.ok(first.body.equals(layer) && (await joined)?.body.equals(layer));
  assert.equal(upstream.blobBytes, layer.length);
});

test('a range far ahead of the download does not wait for it', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, {
    layers: [40_000_000],
    upstream: { connections: 8 },
  });
  await fetchRaw(manifestUrl);
  upstream.faults.push(slow(2_000_000));
  const whole = fetchRaw(layerUrl, { onBytes: (received) => (received > 3_000_000 ? false : undefined) });
  const tail = await fetchRaw(layerUrl, { headers: { range: 'bytes=-1000' } });
  assert.ok(tail.body.equals(layer.subarray(-1000)));
  assert.ok(upstream.blobBytes < layer.length / 2, `${upstream.blobBytes} bytes`);
  await whole;
});

test('an upstream that ignores Range is read as one stream', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(manifestUrl);
  upstream.faults.push(ignoreRange());
  const answers = await Promise.all([
    fetchRaw(layerUrl),
    fetchRaw(layerUrl, { headers: { range: 'bytes=2000000-2000009' } }),
  ]);
  assert.ok(answers[0].body.equals(layer));
  assert.ok(answers[1].body.equals(layer.subarray(2_000_000, 2_000_010)));
  assert.equal(upstream.blobBytes, layer.length);
});

test('a connection that is cut is taken up where it stopped', async (t) => {
  for (const range of ['taken', 'ignored']) {
    const { manifestUrl, layerUrl, layer, upstream } = await setScene(t);
    await fetchRaw(manifestUrl);
    if (range === 'ignored') upstream.faults.push(ignoreRange());
    upstream.faults.push(resetAfter(0), resetAfter(1_000_000), resetAfter(2_999_999));
    const answer = await fetchRaw(layerUrl);
    assert.ok(answer.complete && answer.body.equals(layer), range);
  }
});

test('the next endpoint takes over from one that fails, in the middle of a blob too', async (t) => {
  const first = await FakeRegistry.start();
  const second = await FakeRegistry.start();
  t.after(() => Promise.all([first.close(), second.close()]));
  const { manifestUrl, layerUrl, layer, image } = await setScene(t, {
    upstream: { endpoints: [first.url, second.url] },
  });
  for (const registry of [first, second]) registry.push('team/app', 'v1', image);
  await fetchRaw(manifestUrl);
  first.faults.push(resetAfter(1_500_000, { times: always }));
  const answer = await fetchRaw(layerUrl);
  assert.ok(answer.complete && answer.body.equals(layer));
  assert.ok(first.blobBytes > 0 && second.blobBytes > 0);
});

test('a blob that every endpoint refuses is unknown; one that none delivers is unavailable', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { upstream: { giveUp: '50ms' } });
  await fetchRaw(manifestUrl);
  upstream.faults.push(status(404));
  const gone = await fetchRaw(layerUrl);
  assert.deepEqual([gone.status, JSON.parse(gone.body.toString()).errors[0].code], [404, 'BLOB_UNKNOWN']);
  const fault = status(500, { times: always });
  upstream.faults.push(fault);
  const failing = await fetchRaw(layerUrl);
  assert.deepEqual([failing.status, JSON.parse(failing.body.toString()).errors[0].code], [502, 'UNAVAILABLE']);
  Object.assign(fault, { times: 0 });
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
});
