import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { always, corruptAt, endEarly, slow } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';
import { until } from '../support/until.ts';

const size = 3_000_000;

/** A mirror of an upstream with so many endpoints; the first is asked for one span at a time. */
async function setStage(t: TestContext, endpoints: number) {
  const image = makeImage(size);
  const registries: FakeRegistry[] = [];
  for (let count = 0; count < endpoints; count++) {
    const registry = await FakeRegistry.start();
    t.after(() => registry.close());
    registry.push('team/app', 'v1', image);
    registries.push(registry);
  }
  const config = upstreamConfig(
    registries.map(({ url }) => url),
    { stallTimeout: '60s', connections: 1 },
  );
  const mirror = await startMirror(t, { config });
  await fetchRaw(`${mirror.url}/v2/team/app/manifests/v1`);
  const [layer = Buffer.alloc(0)] = image.layers;
  const url = `${mirror.url}/v2/team/app/blobs/${digestOf(layer)}`;
  const asked = () => registries.map(({ blobRequests }) => blobRequests.length);
  const failures = async () =>
    Number(/weir_integrity_failures_total\{where="upstream"\} (\d+)/.exec(await mirror.metrics())?.[1] ?? 0);
  const kept = async () => (await readdir(join(mirror.dataDir, 'ingest'))).length;
  const stored = async () => JSON.parse((await fetchRaw(`${mirror.adminUrl}/api/status`)).body.toString()).cache.bytes;
  return { registries, layer, url, mirror, asked, failures, kept, stored };
}

test('an endpoint that alone has sent a corrupt blob is not asked for it again, and the next client has it', async (t) => {
  const { registries, layer, url, mirror, asked } = await setStage(t, 2);
  registries[0]?.faults.push(corruptAt(1_500_000, { times: always }));
  const bad = await fetchRaw(url);
  assert.equal(bad.ending, 'FIN');
  assert.ok(bad.body.length < size);
  const [before] = asked();
  assert.ok((await fetchRaw(url)).body.equals(layer));
  assert.equal(asked()[0], before);
  const line = mirror.log.find(({ message }) => message === 'a blob did not arrive');
  assert.deepEqual(line?.fields['from'], [registries[0]?.url]);
});

test('where two have brought a corrupt blob, it is fetched from one at a time until the culprit is known', async (t) => {
  for (const culprit of [0, 1]) {
    const { registries, layer, url, failures, stored } = await setStage(t, 2);
    // The first one is cut in the middle, so that the second one brings the rest.
    registries[0]?.faults.push(endEarly(1_000_000));
    registries[culprit]?.faults.push(corruptAt(culprit === 0 ? 10 : size - 10, { times: always }));
    const bad = await fetchRaw(url);
    assert.equal(bad.ending, 'FIN');
    assert.ok(bad.body.length < size);
    // It is found out by the other one's being right, or by one's being wrong alone.
    await until(async () => (await failures()) === 2 || (await stored()) >= size);
    assert.ok((await fetchRaw(url)).body.equals(layer), `endpoint ${culprit}`);
  }
});

test('who asks while the culprit is looked for waits for what is right, and is not cut', async (t) => {
  for (const culprit of [0, 1]) {
    const { registries, layer, url, failures } = await setStage(t, 2);
    registries[0]?.faults.push(endEarly(1_000_000));
    registries[culprit]?.faults.push(corruptAt(culprit === 0 ? 10 : size - 10, { times: always }));
    assert.equal((await fetchRaw(url)).complete, false);
    for (const { faults } of registries) faults.push(slow(6_000_000));
    const joining = await Promise.all([fetchRaw(url), fetchRaw(url)]);
    for (const { body } of joining) assert.ok(body.equals(layer), `endpoint ${culprit}, ${await failures()} failures`);
  }
});

test('where every endpoint is wrong, nothing is kept; all are believed again, at first at once', async (t) => {
  const { registries, layer, url, failures, kept } = await setStage(t, 2);
  for (const registry of registries) registry.faults.push(corruptAt(2_000_000, { times: always }));
  for (let round = 0; round < 4; round++) assert.equal((await fetchRaw(url)).complete, false);
  // The client is told before what has come is put away.
  await until(async () => (await failures()) === 4);
  assert.equal((await fetchRaw(url)).status, 502, 'it is not fetched for every client');
  assert.equal(await failures(), 4);
  assert.equal(await kept(), 0);
  for (const registry of registries) registry.faults.length = 0;
  await until(async () => (await fetchRaw(url)).body.equals(layer));
});
