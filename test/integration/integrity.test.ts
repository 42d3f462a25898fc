import assert from 'node:assert/strict';
import { open, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, hexOf } from '../../src/oci/digest.ts';
import { ociManifest } from '../../src/oci/media-types.ts';
import { fetchRaw } from '../support/client.ts';
import { always, corruptAt, gzip, ignoreRange, noFraming, wrongLength, wrongRange } from '../support/faults.ts';
import { makeIndex, manifestOf } from '../support/images.ts';
import { type Scene, setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

function blobFile({ mirror }: Scene, bytes: Buffer): string {
  const hex = hexOf(digestOf(bytes));
  return join(mirror.dataDir, 'blobs', 'sha256', hex.slice(0, 2), hex);
}

test('a corrupt blob never looks complete: the last byte is kept back, the connection ends, nothing is kept', async (t) => {
  const scene = await setScene(t);
  await fetchRaw(scene.manifestUrl);
  scene.upstream.faults.push(corruptAt(1_000_000, { times: 3 }));
  const bad = await fetchRaw(scene.layerUrl);
  assert.equal(bad.status, 200);
  assert.equal(bad.ending, 'FIN');
  assert.ok(bad.body.length < scene.layer.length);
  await assert.rejects(readFile(blobFile(scene, scene.layer)));
  // The client is told before what has come is put away.
  await until(async () => /weir_integrity_failures_total\{where="upstream"\} 1/.test(await scene.mirror.metrics()));
  scene.upstream.faults.length = 0;
  assert.ok((await fetchRaw(scene.layerUrl)).body.equals(scene.layer));
});

test('an open-ended range of a corrupt blob does not look complete either', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(manifestUrl);
  upstream.faults.push(corruptAt(10, { times: always }));
  const bad = await fetchRaw(layerUrl, { headers: { range: 'bytes=2000000-' } });
  assert.equal(bad.status, 206);
  assert.equal(bad.complete, false);
  assert.ok(bad.body.length < layer.length - 2_000_000);
});

test('compressed, mislabelled and wrongly sized answers are not passed on', async (t) => {
  for (const fault of [gzip, wrongRange, wrongLength.bind(undefined, 5)]) {
    const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { upstream: { giveUp: '50ms' } });
    await fetchRaw(manifestUrl);
    const standing = fault({ times: always });
    upstream.faults.push(standing);
    const bad = await fetchRaw(layerUrl);
    assert.equal(bad.status, 502, standing.kind);
    assert.equal(bad.headers['content-encoding'], undefined);
    Object.assign(standing, { times: 0 });
    assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  }
});

test('an answer without a length that ends short is not taken for the whole', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(manifestUrl);
  upstream.faults.push(noFraming(), ignoreRange(), { kind: 'endEarly', offset: 1_000_000, times: 1, only: () => true });
  const answer = await fetchRaw(layerUrl);
  assert.ok(answer.complete && answer.body.equals(layer));
});

test('a manifest that lies about a size gets 502 for that blob; another repository with the truth is not harmed', async (t) => {
  const scene = await setScene(t, { upstream: { giveUp: '50ms' } });
  const { mirror, manifestUrl, layerUrl, layer, upstream } = scene;
  for (const size of [0, 1, layer.length - 7, layer.length + 1, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    const lie = { mediaType: 'application/octet-stream', digest: upstream.putBlob('team/liar', layer), size };
    const liar = manifestOf({ schemaVersion: 2, mediaType: ociManifest, config: lie, layers: [lie] }, ociManifest);
    upstream.putManifest(`team/liar${size}`, liar, 'v1');
    upstream.putBlob(`team/liar${size}`, layer);
    await fetchRaw(`${mirror.url}/v2/team/liar${size}/manifests/v1`);
    const before = upstream.blobRequests.length;
    const answer = await fetchRaw(`${mirror.url}/v2/team/liar${size}/blobs/${digestOf(layer)}`);
    assert.equal(answer.status, 502, String(size));
    // After the first lie it is not known who was wrong; that an answer is waited for is no reason to ask again and again.
    const asked = upstream.blobRequests.length - before;
    assert.ok(asked <= 4, `${asked} requests for ${size}`);
  }
  await fetchRaw(manifestUrl);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
});

test('where manifests of a repository disagree about a size, none is believed', async (t) => {
  const { mirror, manifestUrl, layerUrl, layer, upstream } = await setScene(t);
  const lie = { mediaType: 'application/octet-stream', digest: digestOf(layer), size: 7 };
  upstream.putManifest(
    'team/app',
    manifestOf({ mediaType: ociManifest, config: lie, layers: [lie] }, ociManifest),
    'v2',
  );
  await fetchRaw(`${mirror.url}/v2/team/app/manifests/v2`);
  await fetchRaw(manifestUrl);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
});

test('an index that names the same manifest twice is served, and so is that', async (t) => {
  const { mirror, upstream, image } = await setScene(t);
  const index = makeIndex(image, image);
  upstream.putManifest('team/app', index, 'twice');
  assert.deepEqual((await fetchRaw(`${mirror.url}/v2/team/app/manifests/twice`)).body, index.bytes);
  const child = await fetchRaw(`${mirror.url}/v2/team/app/manifests/${image.manifest.digest}`);
  assert.deepEqual(child.body, image.manifest.bytes);
});

test('a manifest that names the same blob twice is served', async (t) => {
  const { mirror, upstream } = await setScene(t);
  const bytes = Buffer.from('twice');
  const layer = { mediaType: 'application/octet-stream', digest: upstream.putBlob('team/twice', bytes), size: 5 };
  const manifest = manifestOf(
    { schemaVersion: 2, mediaType: ociManifest, config: layer, layers: [layer, layer] },
    ociManifest,
  );
  upstream.putManifest('team/twice', manifest, 'v1');
  assert.deepEqual((await fetchRaw(`${mirror.url}/v2/team/twice/manifests/v1`)).body, manifest.bytes);
  assert.deepEqual((await fetchRaw(`${mirror.url}/v2/team/twice/blobs/${layer.digest}`)).body, bytes);
});

const damages: Readonly<Record<string, (path: string) => Promise<void>>> = {
  missing: unlink,
  'cut short': (path) => truncate(path, 1000),
  'too long': (path) => writeFile(path, 'x', { flag: 'a' }),
};

for (const [name, damage] of Object.entries(damages)) {
  test(`a stored blob whose file is ${name} is fetched again`, async (t) => {
    const scene = await setScene(t);
    await fetchRaw(scene.layerUrl);
    await scene.mirror.close();
    await damage(blobFile(scene, scene.layer));
    const again = await setScene(t, { mirror: { dataDir: scene.mirror.dataDir } });
    for (const bytes of scene.image.blobs.values()) again.upstream.putBlob('team/app', bytes);
    const answer = await fetchRaw(again.blobUrl(digestOf(scene.layer)));
    assert.ok(answer.body.equals(scene.layer));
  });
}

/** Flips one bit of a file. */
async function flipBit(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  byte.writeUInt8(byte.readUInt8() ^ 1);
  await file.write(byte, 0, 1, offset);
  await file.close();
}

const quiet = async ({ mirror }: Scene) => /^weir_flights 0$/m.test(await mirror.metrics());

test('a flipped bit is found before it is sent, and only its chunk is fetched again', async (t) => {
  const scene = await setScene(t, { layers: [6_000_000], config: { cache: { verifySample: 1 } } });
  const { layer, layerUrl, manifestUrl, mirror, upstream } = scene;
  await fetchRaw(manifestUrl);
  for (const headers of [{}, { range: 'bytes=2000000-4999999' }, { range: 'bytes=3500000-' }]) {
    await fetchRaw(layerUrl);
    await until(() => quiet(scene));
    await flipBit(blobFile(scene, layer), 3_600_000);
    const before = upstream.blobBytes;
    const answer = await fetchRaw(layerUrl, { headers });
    const [, first = '0', last = String(layer.length - 1)] = /=(\d+)-(\d*)$/.exec(String(headers.range ?? '')) ?? [];
    assert.ok(answer.complete);
    assert.ok(answer.body.equals(layer.subarray(Number(first), Number(last || layer.length) + 1)));
    await until(() => quiet(scene));
    assert.ok(upstream.blobBytes - before <= 1_200_000, `${upstream.blobBytes - before} bytes were fetched`);
    assert.ok((await readFile(blobFile(scene, layer))).equals(layer));
  }
  assert.match(await mirror.metrics(), /weir_integrity_failures_total\{where="storage"\} 3/);
});

test('with a sample, each chunk is checked sooner or later; without, none is', async (t) => {
  for (const [verifySample, found] of [
    ['1/4', true],
    [0, false],
  ] as const) {
    const scene = await setScene(t, { layers: [6_000_000], config: { cache: { verifySample } } });
    await fetchRaw(scene.manifestUrl);
    await fetchRaw(scene.layerUrl);
    await until(() => quiet(scene));
    await flipBit(blobFile(scene, scene.layer), 5_000_000);
    const metrics: boolean[] = [];
    for (let turn = 0; turn < 4; turn++) {
      await fetchRaw(scene.layerUrl);
      metrics.push(/where="storage"\} 1/.test(await scene.mirror.metrics()));
    }
    assert.equal(metrics.at(-1), found);
  }
});

test('blobs whose catalog was lost are found again; what is not what its name says goes', async (t) => {
  const scene = await setScene(t, { layers: [3_000_000, 2000] });
  const [layer = Buffer.alloc(0), other = Buffer.alloc(0)] = scene.image.layers;
  for (const each of [layer, other]) await fetchRaw(scene.blobUrl(digestOf(each)));
  await until(() => quiet(scene));
  await scene.mirror.close();
  const { dataDir } = scene.mirror;
  for (const name of ['catalog.db', 'catalog.db-wal', 'catalog.db-shm']) await rm(join(dataDir, name), { force: true });
  await flipBit(blobFile(scene, other), 100);
  const again = await setScene(t, { mirror: { dataDir }, config: { cache: { verifySample: 1 } } });
  again.upstream.push('team/app', 'v1', scene.image);
  const found = () => again.mirror.log.filter(({ message }) => /^a (?:blob without|file that)/.test(message)).length;
  await until(() => found() === 2);
  await assert.rejects(readFile(blobFile(scene, other)));
  await fetchRaw(again.manifestUrl);
  const before = again.upstream.blobBytes;
  assert.ok((await fetchRaw(again.blobUrl(digestOf(layer)))).body.equals(layer));
  assert.equal(again.upstream.blobBytes, before);
  assert.ok((await fetchRaw(again.blobUrl(digestOf(other)))).body.equals(other));
});

test('of blobs that are found again, no more is kept than may be', async (t) => {
  const scene = await setScene(t, { layers: [3_000_000, 2_000_000] });
  for (const each of scene.image.layers) await fetchRaw(scene.blobUrl(digestOf(each)));
  await until(() => quiet(scene));
  await scene.mirror.close();
  const { dataDir } = scene.mirror;
  for (const name of ['catalog.db', 'catalog.db-wal', 'catalog.db-shm']) await rm(join(dataDir, name), { force: true });
  const again = await setScene(t, { mirror: { dataDir }, config: { cache: { maxSize: '4MB' } } });
  const found = () => again.mirror.log.filter(({ message }) => message === 'a blob without a record was found').length;
  await until(() => found() === 2);
  const there = (blob: Buffer) =>
    readFile(blobFile(scene, blob)).then(
      () => true,
      () => false,
    );
  await until(async () => (await Promise.all(scene.image.layers.map(there))).filter(Boolean).length === 1);
});

test('verifying finds what is damaged or missing; a repair fetches what is wrong, and no more', async (t) => {
  const scene = await setScene(t, { layers: [6_000_000, 5000, 4000] });
  const [layer = Buffer.alloc(0), missing = Buffer.alloc(0)] = scene.image.layers;
  await fetchRaw(scene.manifestUrl);
  for (const each of scene.image.layers) await fetchRaw(scene.blobUrl(digestOf(each)));
  await until(() => quiet(scene));
  const verify = async (repair: boolean) => {
    const options = { method: 'POST', body: JSON.stringify({ repair }) };
    const { body } = await fetchRaw(`${scene.mirror.adminUrl}/api/verify`, options);
    const lines = body
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    return lines.filter(({ verdict }) => verdict !== 'right').map(({ verdict, repaired }) => `${verdict} ${repaired}`);
  };
  assert.deepEqual(await verify(false), []);
  await flipBit(blobFile(scene, layer), 4_000_000);
  await unlink(blobFile(scene, missing));
  const before = scene.upstream.blobBytes;
  assert.deepEqual((await verify(true)).toSorted(), ['damaged true', 'missing true']);
  assert.ok(scene.upstream.blobBytes - before <= 1_200_000);
  assert.ok((await readFile(blobFile(scene, layer))).equals(layer));
  assert.ok((await readFile(blobFile(scene, missing))).equals(missing));
  await flipBit(blobFile(scene, layer), 10);
  assert.deepEqual(await verify(false), ['damaged false']);
  assert.ok((await fetchRaw(scene.layerUrl)).body.equals(layer));
});
