import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { CrioNode } from '../support/crio-node.ts';
import { always, corruptAt, type Fault, stallAfter, status } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { labelsOf } from '../support/metric-names.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

const kib = 1024;
const manifests = (path: string) => path.includes('/manifests/');
const crio = { 'user-agent': 'cri-o/1.31.2 go/go1.22.12 os/linux arch/amd64' };

/** Whatever a mirror has to tell apart, by the labels that say so. */
const told = [
  'weir_served_bytes_total{source="hit"}',
  'weir_served_bytes_total{source="flight"}',
  'weir_served_bytes_total{source="pass"}',
  'weir_upstream_repairs_total{reason="status"}',
  'weir_pulls_total{runtime="cri-o",outcome="complete"}',
  ...['hit', 'miss', 'stale'].map((result) => `weir_cache_requests_total{kind="manifest",result="${result}"}`),
  ...['hit', 'join', 'miss'].map((result) => `weir_cache_requests_total{kind="blob",result="${result}"}`),
  'weir_integrity_failures_total{where="upstream"}',
];

test('everything that is counted is counted of a mirror to which everything happens', async (t) => {
  const { upstream, mirror, layerUrl, manifestUrl } = await setScene(t, {
    layers: [10_000, 300 * kib, 32],
    upstream: { tagTtl: '1ms' },
    config: {
      watchdog: { timeout: '1s', drip: '100ms', commitRate: '128KiB' },
      cache: { maxSize: '1MiB', minFree: '0%' },
    },
  });
  const counted = new Set<string>();
  const look = async () => {
    for (const [, series = ''] of (await mirror.metrics()).matchAll(/^(weir_\S+) (?!0$)\S+$/gm)) counted.add(series);
    return counted;
  };
  const push = (name: string, size: number) => {
    const image = makeImage(size);
    upstream.push(`team/${name}`, 'v1', image);
    const [layer = Buffer.alloc(0)] = image.layers;
    const base = `${mirror.url}/v2/team/${name}`;
    return { manifest: `${base}/manifests/v1`, layer: `${base}/blobs/${digestOf(layer)}` };
  };
  const strike = (...faults: Fault[]) => upstream.faults.splice(0, upstream.faults.length, ...faults);
  upstream.remaining = '76;w=21600';

  // A node unpacks for longer than its watchdog waits: the last layer is held.
  assert.equal((await new CrioNode({ scale: 0.1, commitRate: 128 * kib }).pull(manifestUrl)).error, undefined);
  await fetchRaw(layerUrl);
  strike(status(500, { only: manifests, times: always }));
  assert.equal((await fetchRaw(manifestUrl)).status, 200, 'stale');
  await until(async () => (await look()).has('weir_hold_seconds_count'));

  // A blob is refused, silent, and waited for by two.
  const late = push('late', 200 * kib);
  strike(status(503), stallAfter(150 * kib, 1000));
  await fetchRaw(late.manifest);
  const first = fetchRaw(late.layer);
  await until(async () => /^weir_flights [1-9]/m.test(await mirror.metrics()));
  await look();
  for (const { complete } of await Promise.all([first, fetchRaw(late.layer)])) assert.ok(complete);

  // Nothing tells a node that unpacks a giant anything: it pulls once more.
  const giant = push('giant', 400 * kib);
  for (const url of Object.values(giant)) await fetchRaw(url, { headers: crio });
  await until(async () => {
    await fetchRaw(giant.manifest, { headers: crio });
    return (await look()).has('weir_watchdog_suspected_kills_total');
  });

  const wrong = push('wrong', 300 * kib);
  strike(corruptAt(100, { times: always }));
  await fetchRaw(wrong.manifest);
  assert.equal((await fetchRaw(wrong.layer)).complete, false);
  strike();
  assert.ok((await fetchRaw(wrong.layer)).complete);
  const large = push('large', 3000 * kib);
  await fetchRaw(large.manifest);
  assert.ok((await fetchRaw(large.layer)).complete);
  strike(status(429, { only: manifests, retryAfter: '60' }));
  await fetchRaw(`${mirror.url}/v2/team/none/manifests/v1`);

  const missing = (series: string) => ![...counted].some((each) => each.startsWith(series));
  const all = [...labelsOf().keys()].filter((name) => name.startsWith('weir_')).concat(told);
  await look();
  assert.deepEqual(all.filter(missing), []);
});
