import assert from 'node:assert/strict';
import { open, readdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { stallAfter } from '../support/faults.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const patient = { stallTimeout: '60s', connections: 1 };

/** A mirror that was closed while it had about so many bytes of a blob. */
async function leaveUnfinished(t: TestContext, bytes: number) {
  const dataDir = tempDir();
  const scene = await setScene(t, { layers: [6_000_000], upstream: patient, mirror: { dataDir } });
  await fetchRaw(scene.manifestUrl);
  scene.upstream.faults.push(stallAfter(bytes, 60_000));
  await fetchRaw(scene.layerUrl, { onBytes: (received) => (received > bytes - 100_000 ? false : undefined) });
  await scene.mirror.close();
  scene.upstream.faults.length = 0;
  return { dataDir, layer: scene.layer, upstream: scene.upstream };
}

test('the next process goes on from what is there, and answers a resume from it at once', async (t) => {
  const { dataDir, layer, upstream } = await leaveUnfinished(t, 3_000_000);
  const before = upstream.blobBytes;
  upstream.faults.push(stallAfter(0, 3000));
  const next = await startMirror(t, { dataDir, config: upstreamConfig(upstream.url, patient) });
  const url = `${next.url}/v2/team/app/blobs/${digestOf(layer)}`;
  const resumed = await fetchRaw(url, { headers: { range: 'bytes=2500000-' } });
  assert.equal(resumed.status, 206);
  assert.ok(resumed.complete && resumed.body.equals(layer.subarray(2_500_000)));
  assert.ok(resumed.firstByte < 2500, `${resumed.firstByte} ms`);
  assert.ok(upstream.blobBytes - before <= 3_200_000, `${upstream.blobBytes - before} bytes`);
  assert.ok((await fetchRaw(url)).body.equals(layer));
  assert.deepEqual(await readdir(join(dataDir, 'ingest')), []);
});

test('what does not match its record is fetched again', async (t) => {
  const { dataDir, layer, upstream } = await leaveUnfinished(t, 5_000_000);
  const [name = ''] = await readdir(join(dataDir, 'ingest'));
  const file = await open(join(dataDir, 'ingest', name), 'r+');
  await file.write(Buffer.from('flipped'), 0, 7, 1_500_000);
  await file.truncate(4_000_000);
  await file.close();
  const before = upstream.blobBytes;
  const next = await startMirror(t, { dataDir, config: upstreamConfig(upstream.url, patient) });
  const answer = await fetchRaw(`${next.url}/v2/team/app/blobs/${digestOf(layer)}`);
  assert.ok(answer.complete && answer.body.equals(layer));
  const fetched = upstream.blobBytes - before;
  assert.ok(fetched >= 2_000_000 + 1024 * 1024 && fetched < 5_000_000, `${fetched} bytes`);
});

test('what had come since the last record counts too, after a kill', async (t) => {
  const { dataDir, layer, upstream } = await leaveUnfinished(t, 2_000_000);
  const [name = ''] = await readdir(join(dataDir, 'ingest'));
  const file = await open(join(dataDir, 'ingest', name), 'r+');
  await file.write(layer, 3_000_000, 3_000_000, 3_000_000);
  await file.close();
  const next = await startMirror(t, { dataDir, config: upstreamConfig(upstream.url, patient) });
  const counted = async () => Number(/^weir_cache_bytes (\d+)$/m.exec(await next.metrics())?.[1]);
  const atStart = await counted();
  assert.ok(atStart > 4_800_000 && atStart < 5_200_000, `${atStart} bytes`);
  assert.ok((await fetchRaw(`${next.url}/v2/team/app/blobs/${digestOf(layer)}`)).body.equals(layer));
  // It has its place before it is counted there.
  await until(async () => (await counted()) === layer.length);
  assert.deepEqual(await readdir(join(dataDir, 'ingest')), []);
});

test('a record of arriving content that is not there takes no room, and is forgotten at the start', async (t) => {
  const { dataDir, layer, upstream } = await leaveUnfinished(t, 3_000_000);
  const [name = ''] = await readdir(join(dataDir, 'ingest'));
  await unlink(join(dataDir, 'ingest', name));
  const next = await startMirror(t, { dataDir, config: upstreamConfig(upstream.url, patient) });
  assert.ok(/^weir_cache_bytes 0$/m.test(await next.metrics()));
  const before = upstream.blobBytes;
  const answer = await fetchRaw(`${next.url}/v2/team/app/blobs/${digestOf(layer)}`);
  assert.ok(answer.complete && answer.body.equals(layer));
  assert.ok(upstream.blobBytes - before >= layer.length, 'from its beginning');
});

test('arriving content without a record is removed at the start', async (t) => {
  const { mirror } = await setScene(t);
  await mirror.close();
  await writeFile(join(mirror.dataDir, 'ingest', 'left-over'), 'x');
  const next = await setScene(t, { mirror: { dataDir: mirror.dataDir } });
  assert.deepEqual(await readdir(join(next.mirror.dataDir, 'ingest')), []);
});

test('a second process on the same directory is refused with a remedy', async (t) => {
  const { mirror } = await setScene(t);
  await assert.rejects(startMirror(t, { dataDir: mirror.dataDir }), {
    name: 'CatalogError',
    message: /another process uses .*: end it/,
  });
});
