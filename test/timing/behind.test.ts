import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { type ClientAnswer, fetchRaw } from '../support/client.ts';
import { makeImage } from '../support/images.ts';
import { Line } from '../support/line.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';
import { until } from '../support/until.ts';

const mib = 2 ** 20;
const drip = 100;
/** A tenth of the real times. */
const watchdog = { timeout: '1s', drip: `${drip}ms` };
/** A gap that an overloaded machine may add. */
const slack = 700;

/** A mirror at the end of a line of 1 MiB/s, and what fetches a layer of an image that is there. */
async function setLine(t: TestContext, images: Readonly<Record<string, readonly number[]>>, more: object) {
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  const pushed = Object.entries(images).map(([name, sizes]) => [name, makeImage(...sizes)] as const);
  for (const [name, image] of pushed) upstream.push(`team/${name}`, 'v1', image);
  const made = new Map(pushed);
  const line = await Line.open(t, upstream.url, mib);
  const mirror = await startMirror(t, {
    config: { ...upstreamConfig(line.url, { stallTimeout: '60s', ...more }), watchdog, prefetch: true },
  });
  for (const name of made.keys()) await fetchRaw(`${mirror.url}/v2/team/${name}/manifests/v1`);
  return (name: string, layer: number, onBytes?: (received: number) => boolean | undefined): Promise<ClientAnswer> => {
    const digest = digestOf(made.get(name)?.layers[layer] ?? assert.fail());
    return fetchRaw(`${mirror.url}/v2/team/${name}/blobs/${digest}`, onBytes ? { onBytes } : {});
  };
}

test('beside a layer that takes minutes, no later layer begins with a silence, of this pull or of another', async (t) => {
  const small = [50_000, 60_000, 70_000];
  const fetchLayer = await setLine(t, { huge: [100 * mib, ...small], other: small }, {});
  let received = 0;
  let over = false;
  const huge = fetchLayer('huge', 0, (bytes) => {
    received = bytes;
    return !over;
  });
  await until(() => received > 3 * mib);
  for (const [name, layers] of [
    ['huge', [1, 2, 3]],
    ['other', [0, 1, 2]],
  ] as const) {
    const answers = await Promise.all(layers.map((layer) => fetchLayer(name, layer)));
    for (const { firstByte, longestGap } of answers) {
      assert.ok(firstByte < 2000, `${name}: ${firstByte} ms to the first byte`);
      assert.ok(longestGap < drip + slack, `${name}: ${longestGap} ms`);
    }
  }
  over = true;
  assert.ok((await huge).longestGap < drip + slack);
});

test('who waits for the only connection, behind another pull, is sent a byte each drip', async (t) => {
  const sizes = [6 * mib];
  const fetchLayer = await setLine(t, { one: sizes, two: sizes }, { connections: 1 });
  const answers = await Promise.all([fetchLayer('one', 0), fetchLayer('two', 0)]);
  for (const { complete, longestGap } of answers) {
    assert.ok(complete);
    assert.ok(longestGap < drip + slack, `${longestGap} ms`);
  }
});
