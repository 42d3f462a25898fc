import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { ignoreRange, resetAfter, stallAfter } from '../support/faults.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { assertParts, rangesOf } from '../support/multipart.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

const kib = 1024;
const mib = 1024 * kib;
type Ranges = readonly (readonly [number, number])[];

/** `count` ranges of `length` bytes, one every `step` bytes. */
const comb = (count: number, step: number, length: number): Ranges =>
  Array.from({ length: count }, (_, index) => [index * step, index * step + length] as const);

const shapes: Readonly<Record<string, Ranges>> = {
  'two ranges at the end': [
    [3_999_000, 3_999_500],
    [3_999_600, 4_000_000],
  ],
  'adjacent ranges': [
    [0, 100],
    [100, 200],
    [200, 300],
  ],
  'overlapping ranges, backwards': [
    [3_000_000, 3_000_010],
    [2_000_000, 3_000_000],
    [2_500_000, 2_600_000],
    [0, 1],
  ],
  '1,024 ranges': comb(1024, 3900, 300),
  '2,048 ranges': comb(2048, 1900, 1),
  'ranges that together are the blob': [
    [0, 1_000_000],
    [1_000_000, 4_000_000],
  ],
};

for (const [name, ranges] of Object.entries(shapes)) {
  test(`${name}, cold, in flight and warm: one part for each, in order`, async (t) => {
    const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { layers: [4_000_000] });
    const headers = rangesOf(ranges);
    await fetchRaw(manifestUrl);
    assertParts(await fetchRaw(layerUrl, { headers }), layer, ranges);
    await fetchRaw(layerUrl);
    await upstream.close();
    assertParts(await fetchRaw(layerUrl, { headers }), layer, ranges);
    const other = await setScene(t, { layers: [4_000_000], upstream: { stallTimeout: '20s' } });
    await fetchRaw(other.manifestUrl);
    other.upstream.faults.push(stallAfter(1_500_000, 100));
    const whole = fetchRaw(other.layerUrl);
    assertParts(await fetchRaw(other.layerUrl, { headers }), other.layer, ranges);
    assert.ok((await whole).body.equals(other.layer));
    assert.equal(other.upstream.blobBytes, other.layer.length);
  });
}

test('a last range may be open, a list may have empty members, and a suffix counts from the end', async (t) => {
  const { layerUrl, layer } = await setScene(t, { layers: [2048] });
  const cases: Readonly<Record<string, Ranges>> = {
    'bytes=0-9,2000-': [
      [0, 10],
      [2000, 2048],
    ],
    'bytes=-8, 100-100 ,,': [
      [2040, 2048],
      [100, 101],
    ],
  };
  for (const [range, ranges] of Object.entries(cases)) {
    assertParts(await fetchRaw(layerUrl, { headers: { range } }), layer, ranges);
  }
});

const refused: Readonly<Record<string, string>> = {
  'one that is malformed': 'bytes=0-9,junk',
  'one that is inverted': 'bytes=0-9,500-0',
  'one behind the end': 'bytes=0-9,2048-',
  'an empty suffix': 'bytes=-0,0-9',
  'more bytes than the blob has': 'bytes=0-1023,0-1024',
  '2,049 of them': rangesOf(comb(2049, 1, 1)).range,
};

test('several ranges with a bad one are a bad request, which clients recover from; held, arriving or not', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, {
    layers: [2048],
    upstream: { stallTimeout: '60s' },
  });
  await fetchRaw(manifestUrl);
  upstream.faults.push(stallAfter(1024, 1000));
  let arrived = 0;
  const onBytes = (received: number) => {
    arrived = received;
    return undefined;
  };
  for (const temperature of ['cold', 'in flight', 'warm']) {
    const whole = temperature === 'in flight' ? fetchRaw(layerUrl, { onBytes }) : undefined;
    if (whole !== undefined) await until(() => arrived > 0);
    for (const [name, range] of Object.entries(refused)) {
      const answer = await fetchRaw(layerUrl, { headers: { range } });
      assert.equal(answer.status, 400, `${name}, ${temperature}`);
      assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'RANGE_INVALID');
    }
    if (temperature === 'cold') assert.equal(upstream.blobRequests.length, 0);
    if (whole !== undefined) assert.ok((await whole).body.equals(layer));
  }
});

test('ranges that are refused leave no file open', async (t) => {
  const { layerUrl, mirror } = await setScene(t, { layers: [2048] });
  await fetchRaw(layerUrl);
  const open = () => {
    const links = readdirSync('/proc/self/fd').map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return '';
      }
    });
    return links.filter((link) => link.startsWith(join(mirror.dataDir, 'blobs'))).length;
  };
  await until(async () => (await mirror.metrics()).includes('weir_cache_bytes 2048'));
  for (const range of [...Object.values(refused), 'bytes=5000-6000']) await fetchRaw(layerUrl, { headers: { range } });
  assert.equal(open(), 0);
});

test('a repeated Range header is junk: the whole is served', async (t) => {
  const { layerUrl, layer } = await setScene(t, { layers: [2048] });
  const answer = await fetchRaw(layerUrl, { headers: { range: 'bytes=0-1, bytes=5-6' } });
  assert.deepEqual([answer.status, answer.body.equals(layer)], [200, true]);
});

test('ranges of a blob that is not held are fetched exactly, those that are close with one request', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { layers: [30 * mib] });
  await fetchRaw(manifestUrl);
  const far: Ranges = [
    [10 * mib + 100, 10 * mib + 200],
    [30 * mib - 70_000, 30 * mib - 100],
  ];
  assertParts(await fetchRaw(layerUrl, { headers: rangesOf(far) }), layer, far);
  assert.equal(upstream.blobBytes, 64 * kib + 128 * kib);
  const before = upstream.blobRequests.length;
  const close = comb(100, 20_000, 100).map(([start, end]) => [start + 20 * mib, end + 20 * mib] as const);
  assertParts(await fetchRaw(layerUrl, { headers: rangesOf(close) }), layer, close);
  assert.ok(upstream.blobRequests.length - before <= 4, `${upstream.blobRequests.length - before} requests`);
  assert.ok(upstream.blobBytes < 3 * mib, `${upstream.blobBytes} bytes`);
});

test('ranges that are read again are not fetched again, not after a restart either', async (t) => {
  const scene = await setScene(t, { layers: [10 * mib] });
  const ranges = comb(20, 500_000, 1000);
  await fetchRaw(scene.manifestUrl);
  await fetchRaw(scene.layerUrl, { headers: rangesOf(ranges) });
  const fetched = scene.upstream.blobBytes;
  assertParts(await fetchRaw(scene.layerUrl, { headers: rangesOf(ranges) }), scene.layer, ranges);
  await scene.mirror.close();
  const { dataDir } = scene.mirror;
  const restarted = await startMirror(t, { dataDir, config: upstreamConfig(scene.upstream.url) });
  const again = scene.layerUrl.replace(scene.mirror.url, restarted.url);
  assertParts(await fetchRaw(again, { headers: rangesOf(ranges) }), scene.layer, ranges);
  assert.equal(scene.upstream.blobBytes, fetched);
  assert.ok(fetched < 3 * mib, `${fetched} bytes`);
});

test('an upstream that cuts or ignores ranges does not show', async (t) => {
  const ranges: Ranges = [
    [3_000_000, 3_200_000],
    [0, 1_000_000],
  ];
  for (const fault of [resetAfter(3_100_000), ignoreRange()]) {
    const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { layers: [4_000_000] });
    await fetchRaw(manifestUrl);
    upstream.faults.push(fault);
    assertParts(await fetchRaw(layerUrl, { headers: rangesOf(ranges) }), layer, ranges);
  }
});

test('a blob that cannot be had is an error before any header', async (t) => {
  const { manifestUrl, layerUrl, upstream } = await setScene(t, { upstream: { giveUp: '50ms' } });
  await fetchRaw(manifestUrl);
  await upstream.close();
  assert.equal((await fetchRaw(layerUrl, { headers: { range: 'bytes=0-9,20-29' } })).status, 503);
});

test('ranges of what is held are one line of the log in a minute, with how many there were', async (t) => {
  const clock = new FakeClock();
  const { manifestUrl, layerUrl, blobUrl, image, mirror } = await setScene(t, { mirror: { clock } });
  await fetchRaw(manifestUrl);
  await fetchRaw(layerUrl);
  await fetchRaw(blobUrl(digestOf(image.config)));
  const held = `weir_cache_bytes ${(image.layers[0]?.length ?? 0) + image.config.length}\n`;
  await until(async () => (await mirror.metrics()).includes(held));
  const before = mirror.log.length;
  const read = (url: string) => fetchRaw(url, { headers: { range: 'bytes=0-9' } });
  for (let reads = 0; reads < 5; reads++) await read(layerUrl);
  await read(blobUrl(digestOf(image.config)));
  clock.advance(60_000);
  await read(layerUrl);
  const lines = mirror.log.slice(before).filter(({ message }) => message === 'request');
  assert.deepEqual(
    lines.filter(({ level }) => level === 'info').map(({ fields }) => [fields['digest'], fields['reads']]),
    [
      [digestOf(image.layers[0] ?? Buffer.alloc(0)), 1],
      [digestOf(image.config), 1],
      [digestOf(image.layers[0] ?? Buffer.alloc(0)), 5],
    ],
  );
  assert.equal(lines.filter(({ level }) => level === 'debug').length, 4);
});

test('of a blob that is not held, the ranges that are there are one line of the log in a minute, too', async (t) => {
  for (const range of ['bytes=1000-1999', 'bytes=5000000-5000099,6000000-6000099']) {
    const clock = new FakeClock();
    const { manifestUrl, layerUrl, mirror } = await setScene(t, { layers: [10 * mib], mirror: { clock } });
    await fetchRaw(manifestUrl);
    const lines = () => mirror.log.filter(({ fields }) => fields['route'] === 'blob');
    // Where nobody reads it for 10 s, what is there is checked first.
    for (let reads = 1; reads <= 10; reads++, clock.advance(9000)) {
      assert.equal((await fetchRaw(layerUrl, { headers: { range } })).status, 206);
      await until(() => lines().length === reads);
    }
    const said = lines().filter(({ level }) => level === 'info');
    assert.deepEqual(
      said.map(({ fields }) => [fields['source'], fields['reads']]),
      [
        ['flight', undefined],
        ['flight', 1],
        ['flight', 7],
      ],
      `${range}: the first one was fetched`,
    );
  }
});

test('a blob is read in ranges long after its pull, without the upstream', async (t) => {
  const clock = new FakeClock();
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { mirror: { clock } });
  await fetchRaw(manifestUrl);
  await fetchRaw(layerUrl);
  await upstream.close();
  clock.advance(90 * 24 * 3_600_000);
  const ranges = comb(10, 100_000, 10);
  assertParts(await fetchRaw(layerUrl, { headers: rangesOf(ranges) }), layer, ranges);
});
