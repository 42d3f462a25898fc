import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, hexOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { CrioNode } from '../support/crio-node.ts';
import { stallAfter } from '../support/faults.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

const mib = 1024 * 1024;
const drip = 100;
/** A tenth of the real times. */
const watchdog = { timeout: '1s', drip: `${drip}ms` };
/** A gap that an overloaded machine may add. */
const slack = 700;
const silentFor = 2500;
const patient = { stallTimeout: '60s', connections: 1 };

/** Damages a stored blob. */
function flipBit(dataDir: string, blob: Buffer, offset: number): void {
  const hex = hexOf(digestOf(blob));
  const path = join(dataDir, 'blobs/sha256', hex.slice(0, 2), hex);
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset);
  writeFileSync(path, bytes);
}

test('while the upstream is silent, every open response gets a byte each drip: first, late, and resumed', async (t) => {
  const { mirror, manifestUrl, layerUrl, layer, upstream } = await setScene(t, {
    upstream: patient,
    config: { watchdog },
  });
  await fetchRaw(manifestUrl);
  upstream.faults.push(stallAfter(mib + 5, silentFor));
  let late: ReturnType<typeof fetchRaw>[] = [];
  const first = await fetchRaw(layerUrl, {
    onBytes: (received) => {
      if (received > mib / 2 && late.length === 0) {
        late = [fetchRaw(layerUrl), fetchRaw(layerUrl, { headers: { range: 'bytes=500000-' } })];
      }
      return undefined;
    },
  });
  const [joined, resumed] = await Promise.all(late);
  assert.ok(first.complete && first.body.equals(layer));
  assert.ok(joined?.complete && joined.body.equals(layer));
  assert.ok(resumed?.complete && resumed.body.equals(layer.subarray(500_000)));
  for (const { longestGap } of [first, joined, resumed]) assert.ok(longestGap < drip + slack, `${longestGap} ms`);
  assert.match(await mirror.metrics(), /weir_drips_total [1-9]/);
});

test('while a damaged part of what is held is fetched again, the response gets a byte each drip', async (t) => {
  const scene = await setScene(t, {
    layers: [12 * mib + 5],
    upstream: patient,
    config: { watchdog, cache: { verifySample: 1 } },
  });
  const { layer, layerUrl, mirror, upstream } = scene;
  await fetchRaw(scene.manifestUrl);
  for (const headers of [{}, { range: 'bytes=3500000-' }, { range: 'bytes=2500000-9999999' }]) {
    await fetchRaw(layerUrl);
    await until(async () => /^weir_flights 0$/m.test(await mirror.metrics()));
    flipBit(mirror.dataDir, layer, 7 * mib + 5);
    upstream.faults.push(stallAfter(7 * mib + 5, silentFor));
    const askedAt = performance.now();
    const answer = await fetchRaw(layerUrl, { headers });
    assert.ok(performance.now() - askedAt >= silentFor);
    const [, first = '0', last = ''] = /=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
    assert.ok(answer.complete && answer.body.equals(layer.subarray(Number(first), Number(last || layer.length) + 1)));
    assert.ok(answer.longestGap < drip + slack, `${answer.longestGap} ms`);
  }
});

test('what was kept back goes out before a response is cut', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, {
    upstream: { ...patient, giveUp: '200ms' },
    config: { watchdog },
  });
  await fetchRaw(manifestUrl);
  let cut = false;
  const answer = await fetchRaw(layerUrl, {
    onBytes: () => {
      if (!cut) void upstream.close();
      cut = true;
      return undefined;
    },
  });
  assert.equal(answer.ending, 'FIN');
  assert.ok(answer.body.equals(layer.subarray(0, answer.body.length)));
  assert.equal(answer.body.length % 65536, 0);
});

test('a node that unpacks for longer than its watchdog waits is not killed: the last layer is held, and dripped', async (t) => {
  const { mirror, manifestUrl } = await setScene(t, {
    layers: [100_000, 3 * mib, 32],
    config: { watchdog: { ...watchdog, commitRate: '1MiB' } },
  });
  for (const temperature of ['cold', 'warm']) {
    const pull = await new CrioNode({ scale: 0.1, commitRate: mib }).pull(manifestUrl);
    assert.equal(pull.error, undefined, temperature);
  }
  await until(async () => /weir_hold_seconds_count 2/.test(await mirror.metrics()));
  const off = await setScene(t, {
    layers: [100_000, 3 * mib, 32],
    config: { watchdog: { ...watchdog, guard: 'off' } },
  });
  const unguarded = await new CrioNode({ scale: 0.1, commitRate: mib }).pull(off.manifestUrl);
  assert.match(unguarded.error ?? '', /copying config: context canceled/);
});
