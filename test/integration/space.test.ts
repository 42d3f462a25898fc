import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { digestOf, hexOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, corruptAt, ignoreRange, stallAfter } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { lacking } from '../support/lacking.ts';
import { type Scene, setScene } from '../support/scene.ts';
import { freeBytes, smallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

const mib = 2 ** 20;
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const skip = lacking(['mount', 'umount'], { root: true });

function isStored(dataDir: string, blob: Buffer): boolean {
  const hex = hexOf(digestOf(blob));
  return existsSync(join(dataDir, 'blobs/sha256', hex.slice(0, 2), hex));
}

const right = (answer: { body: Buffer; complete: boolean }, bytes: Buffer) =>
  answer.complete && answer.body.equals(bytes);

/** Fetches it through the mirror, and waits until it is put away. */
async function bring({ blobUrl, mirror }: Scene, blob: Buffer): Promise<void> {
  assert.ok(right(await fetchRaw(blobUrl(digestOf(blob))), blob));
  await until(async () => isStored(mirror.dataDir, blob) && /^weir_flights 0$/m.test(await mirror.metrics()));
}

test('a disk of 64 MiB serves more than it holds, and some of it always stays free', { skip }, async (t) => {
  const dataDir = smallDisk(64);
  const scene = await setScene(t, {
    layers: [20 * mib, 30 * mib, 25 * mib, 40 * mib],
    config: { cache: { minFree: '8MiB' } },
    mirror: { dataDir },
  });
  for (const layer of scene.image.layers) {
    await bring(scene, layer);
    assert.ok(freeBytes(dataDir) >= 8 * mib - mib / 2, `${freeBytes(dataDir)} are left`);
  }
  assert.equal(isStored(dataDir, scene.layer), false);
  assert.ok(right(await fetchRaw(scene.layerUrl), scene.layer));
  assert.equal(scene.mirror.log.filter(({ message }) => message.includes('no room')).length, 0);
});

test('blobs that come together share what room there is: none fails, and the disk is not overfilled', {
  skip,
}, async (t) => {
  const dataDir = smallDisk(64);
  const scene = await setScene(t, {
    layers: [30 * mib, 30 * mib, 30 * mib],
    config: { cache: { minFree: '5%' } },
    mirror: { dataDir },
  });
  const answers = await Promise.all(scene.image.layers.map((layer) => fetchRaw(scene.blobUrl(digestOf(layer)))));
  for (const [index, layer] of scene.image.layers.entries()) assert.ok(right(answers[index] ?? assert.fail(), layer));
  assert.ok(freeBytes(dataDir) >= 3 * mib);
});

test('a blob larger than the disk is passed on, however its readers stand, and nothing goes for it', {
  skip,
}, async (t) => {
  const dataDir = smallDisk(64);
  const scene = await setScene(t, { layers: [72 * mib, 4 * mib], mirror: { dataDir } });
  const [large = Buffer.alloc(0), small = Buffer.alloc(0)] = scene.image.layers;
  await bring(scene, small);
  const from = 60 * mib;
  const [whole, late, tail] = await Promise.all([
    fetchRaw(scene.layerUrl),
    fetchRaw(scene.layerUrl),
    fetchRaw(scene.layerUrl, { headers: { range: `bytes=${from}-` } }),
  ]);
  assert.ok(right(whole, large));
  assert.ok(right(late, large));
  assert.ok(right(tail, large.subarray(from)));
  const range = await fetchRaw(scene.layerUrl, { headers: { range: 'bytes=1000000-1999999' } });
  assert.ok(right(range, large.subarray(1_000_000, 2_000_000)));
  assert.deepEqual([isStored(dataDir, large), isStored(dataDir, small)], [false, true]);
  assert.match(await scene.mirror.metrics(), /weir_served_bytes_total\{source="pass"\} [1-9]/);
});

test('what is passed on from an upstream without Range waits for its reader', { skip }, async (t) => {
  const scene = await setScene(t, { layers: [72 * mib], mirror: { dataDir: smallDisk(64) } });
  await fetchRaw(scene.manifestUrl);
  scene.upstream.faults.push(ignoreRange());
  assert.ok(right(await fetchRaw(scene.layerUrl), scene.layer));
  assert.equal(scene.upstream.blobRequests.filter(({ sent }) => sent > mib).length, 1);
});

test('a disk that fills in the middle of a blob is not the node’s trouble', { skip }, async (t) => {
  const dataDir = smallDisk(64);
  const scene = await setScene(t, {
    layers: [40 * mib],
    config: { cache: { minFree: '0B' } },
    upstream: { stallTimeout: '60s' },
    mirror: { dataDir },
  });
  scene.upstream.faults.push(stallAfter(15 * mib, 1000, { times: always }));
  let filled = false;
  const answer = await fetchRaw(scene.layerUrl, {
    onBytes: (received) => {
      if (received > 10 * mib && !filled) {
        filled = true;
        fill(join(dataDir, 'somebody-else'), freeBytes(dataDir));
      }
      return undefined;
    },
  });
  assert.ok(filled);
  assert.ok(right(answer, scene.layer));
  assert.ok(scene.mirror.log.some(({ message }) => message.includes('there is no room for a blob')));
  await until(() => readdirSync(join(dataDir, 'ingest')).length === 0);
});

/** Writes until there is no more room. */
function fill(path: string, bytes: number): void {
  try {
    writeFileSync(path, Buffer.alloc(bytes));
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error && error.code === 'ENOSPC');
  }
}

test('a wrong blob that is passed on never looks complete', async (t) => {
  const scene = await setScene(t, { layers: [3 * mib], config: { cache: { maxSize: '1MiB' } } });
  scene.upstream.faults.push(corruptAt(mib, { times: always }));
  const answer = await fetchRaw(scene.layerUrl);
  assert.equal(answer.complete, false);
  assert.ok(answer.body.length < scene.layer.length);
});

test('what is passed on again after it was right, and is wrong now, never looks complete', async (t) => {
  const scene = await setScene(t, {
    layers: [70 * mib],
    config: { cache: { maxSize: '1MiB' } },
    upstream: { stallTimeout: '60s' },
  });
  assert.ok(right(await fetchRaw(scene.layerUrl), scene.layer));
  // Some of it is still here, and which part that is depends on how it came: whatever is asked for again is wrong.
  for (let at = 0; at < 70 * mib; at += mib) scene.upstream.faults.push(corruptAt(at + 5, { times: always }));
  const answer = await fetchRaw(scene.layerUrl);
  assert.equal(answer.status === 200 && answer.complete, false);
});

test('a range of what is passed on comes again, though the rest of it is wanted by nobody', async (t) => {
  const scene = await setScene(t, { layers: [70 * mib], config: { cache: { maxSize: '1MiB' } } });
  assert.ok(right(await fetchRaw(scene.layerUrl), scene.layer));
  const range = await fetchRaw(scene.layerUrl, { headers: { range: 'bytes=100000-100099' } });
  assert.ok(right(range, scene.layer.subarray(100_000, 100_100)));
});

test('who has read all but the last byte waits for the digest, and for nobody who has stopped', async (t) => {
  const scene = await setScene(t, { layers: [70 * mib], config: { cache: { maxSize: '1MiB' } } });
  const stopped = await new Promise<IncomingMessage>((resolve) => get(scene.layerUrl, { agent: false }, resolve));
  const from = 60 * mib;
  const tail = await fetchRaw(scene.layerUrl, { headers: { range: `bytes=${from}-` } });
  assert.ok(right(tail, scene.layer.subarray(from)));
  assert.ok(right(await fetchRaw(scene.layerUrl), scene.layer));
  assert.ok((await buffer(stopped)).equals(scene.layer));
});

test('a blob that is being read stays', async (t) => {
  const scene = await setScene(t, {
    layers: [24 * mib, 24 * mib, 24 * mib],
    config: { cache: { maxSize: '56MiB' } },
  });
  const [read = Buffer.alloc(0), other = Buffer.alloc(0), third = Buffer.alloc(0)] = scene.image.layers;
  await bring(scene, read);
  // This one does not read what it asked for, so the mirror cannot get rid of all of it.
  const reading = await new Promise<IncomingMessage>((resolve) => get(scene.layerUrl, { agent: false }, resolve));
  await bring(scene, other);
  await bring(scene, third);
  const stored = [read, other, third].map((layer) => isStored(scene.mirror.dataDir, layer));
  assert.ok((await buffer(reading)).equals(read));
  assert.deepEqual(stored, [true, false, true]);
});

test('how large a manifest says that a layer is makes nothing go before the upstream has sent some of it', async (t) => {
  const scene = await setScene(t, {
    layers: [8 * mib],
    config: { cache: { maxSize: '20MiB' }, prefetch: true },
    upstream: { negativeTtl: '0s' },
  });
  const { upstream, mirror, layer, manifestUrl, blobUrl } = scene;
  await fetchRaw(manifestUrl);
  await bring(scene, layer);

  const lacking = {
    mediaType: 'application/octet-stream',
    digest: digestOf(Buffer.from('no such layer')),
    size: 19 * mib,
  };
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: manifestType, layers: [lacking] }));
  upstream.putManifest('team/app', { bytes, digest: digestOf(bytes), mediaType: manifestType }, 'claims');
  assert.equal((await fetchRaw(`${mirror.url}/v2/team/app/manifests/claims`)).status, 200);
  assert.equal((await fetchRaw(blobUrl(lacking.digest))).status, 404);
  await until(async () => /^weir_flights 0$/m.test(await mirror.metrics()));
  assert.ok(isStored(mirror.dataDir, layer));
});

test('a disk that somebody else has filled stops nothing: hits, misses and manifests go on, and it is said', {
  skip,
}, async (t) => {
  const dataDir = smallDisk(64);
  const clock = new FakeClock();
  const scene = await setScene(t, { layers: [mib], mirror: { dataDir, clock } });
  const { mirror, upstream, image } = scene;
  await fetchRaw(scene.manifestUrl);
  for (const blob of image.blobs.values()) await bring(scene, blob);
  fillUp(dataDir);
  assert.ok(right(await fetchRaw(scene.layerUrl), scene.layer));
  clock.advance(11_000);
  const other = makeImage(2 * mib, 300_000);
  upstream.push('team/other', 'v1', other);
  const manifest = await fetchRaw(`${mirror.url}/v2/team/other/manifests/v1`);
  assert.deepEqual([manifest.status, manifest.body.equals(other.manifest.bytes)], [200, true]);
  for (const [digest, bytes] of other.blobs) {
    assert.ok(right(await fetchRaw(`${mirror.url}/v2/team/other/blobs/${digest}`), bytes));
  }
  clock.advance(11_000);
  assert.ok(right(await fetchRaw(scene.layerUrl), scene.layer));
  assert.ok(mirror.log.some(({ message }) => message === 'the catalog cannot be written'));
});

/** Leaves not a byte. */
function fillUp(directory: string): void {
  for (const size of [mib, 4096]) {
    for (let index = 0; freeBytes(directory) >= size; index++) fill(join(directory, `filler.${size}.${index}`), size);
  }
}
