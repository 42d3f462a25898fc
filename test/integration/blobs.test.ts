import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { type ClientAnswer, fetchRaw } from '../support/client.ts';
import { always, noLength, stallAfter } from '../support/faults.ts';
import { setScene } from '../support/scene.ts';

test('a blob comes cold, and warm without the upstream', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(manifestUrl);
  const cold = await fetchRaw(layerUrl);
  assert.equal(cold.status, 200);
  assert.ok(cold.body.equals(layer));
  assert.equal(cold.headers['content-type'], 'application/octet-stream');
  assert.equal(cold.headers['content-length'], String(layer.length));
  assert.equal(cold.headers['docker-content-digest'], digestOf(layer));
  assert.equal(cold.headers['etag'], `"${digestOf(layer)}"`);
  assert.equal(cold.headers['accept-ranges'], 'bytes');
  assert.equal(cold.headers['cache-control'], 'max-age=31536000, immutable');
  const requests = upstream.seen.length;
  await upstream.close();
  const warm = await fetchRaw(layerUrl);
  assert.ok(warm.body.equals(layer));
  assert.equal(upstream.seen.length, requests);
});

test('a blob that no manifest named is asked for, and served', async (t) => {
  const { layerUrl, layer, upstream } = await setScene(t);
  const answer = await fetchRaw(layerUrl);
  assert.equal(answer.status, 200);
  assert.ok(answer.body.equals(layer));
  assert.equal(upstream.blobRequests[0]?.range, 'bytes=0-0');
});

test('a HEAD of a blob that a manifest named asks nobody', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(manifestUrl);
  for (const temperature of ['cold', 'warm']) {
    const answer = await fetchRaw(layerUrl, { method: 'HEAD' });
    assert.equal(answer.status, 200, temperature);
    assert.equal(answer.headers['content-length'], String(layer.length));
    assert.equal(answer.body.length, 0);
    if (temperature === 'cold') assert.equal(upstream.blobRequests.length, 0);
    await fetchRaw(layerUrl);
  }
  assert.ok(upstream.seen.every(({ method }) => method === 'GET'));
});

test('a blob of no bytes', async (t) => {
  const { manifestUrl, blobUrl, upstream } = await setScene(t, { layers: [0, 10] });
  const empty = digestOf(Buffer.alloc(0));
  const unnamed = await fetchRaw(blobUrl(empty));
  assert.deepEqual([unnamed.status, unnamed.headers['content-length'], unnamed.complete], [200, '0', true]);
  await fetchRaw(manifestUrl);
  const before = upstream.blobRequests.length;
  for (const headers of [{}, { range: 'bytes=0-' }]) {
    const answer = await fetchRaw(blobUrl(empty), { headers });
    assert.deepEqual([answer.status, answer.headers['content-length'], answer.complete], [200, '0', true]);
  }
  assert.equal(upstream.blobRequests.length, before);
});

test('a blob of no bytes that a manifest named asks the upstream nothing', async (t) => {
  const { manifestUrl, blobUrl, upstream } = await setScene(t, { layers: [0] });
  await fetchRaw(manifestUrl);
  const answer = await fetchRaw(blobUrl(digestOf(Buffer.alloc(0))));
  assert.deepEqual([answer.status, answer.headers['content-length'], answer.complete], [200, '0', true]);
  assert.equal(upstream.blobRequests.length, 0);
});

test('a blob of an upstream that does not say its size comes with chunks, and is kept', async (t) => {
  const { layerUrl, layer, upstream } = await setScene(t);
  upstream.faults.push(noLength({ times: always }), { ...noLength(), kind: 'ignoreRange' });
  const cold = await fetchRaw(layerUrl);
  assert.equal(cold.headers['content-length'], undefined);
  assert.ok(cold.complete && cold.body.equals(layer));
  await upstream.close();
  const warm = await fetchRaw(layerUrl);
  assert.equal(warm.headers['content-length'], String(layer.length));
  assert.ok(warm.body.equals(layer));
});

test('sha512 content is verified and served', async (t) => {
  const { mirror, upstream } = await setScene(t);
  const bytes = Buffer.from('of a longer digest');
  const digest = upstream.putBlob('team/app', bytes, digestOf(bytes, 'sha512'));
  const answer = await fetchRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);
  assert.deepEqual(answer.body, bytes);
});

test('an unknown blob is BLOB_UNKNOWN, and is not asked for again at once', async (t) => {
  const { blobUrl, upstream } = await setScene(t);
  for (const attempt of [1, 2]) {
    const answer = await fetchRaw(blobUrl(`sha256:${'a'.repeat(64)}`));
    assert.equal(answer.status, 404, String(attempt));
    assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'BLOB_UNKNOWN');
  }
  assert.equal(upstream.seen.length, 1);
});

test('the first bytes go out while the upstream is still sending', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { upstream: { stallTimeout: '20s' } });
  await fetchRaw(manifestUrl);
  upstream.faults.push(stallAfter(1_500_000, 60_000));
  const enough = await fetchRaw(layerUrl, { onBytes: (received) => (received >= 1_400_000 ? false : undefined) });
  assert.ok(enough.body.equals(layer.subarray(0, enough.body.length)));
  assert.ok(enough.body.length >= 1_400_000);
});

const range = (test: string) => ({ headers: { range: `bytes=${test}` } });

const table: readonly (readonly [range: string, status: number, first: number, end: number])[] = [
  ['500-1499', 206, 500, 1500],
  ['500-', 206, 500, 2048],
  ['-500', 206, 1548, 2048],
  ['-5000', 206, 0, 2048],
  ['2000-5000', 206, 2000, 2048],
  ['0-', 206, 0, 2048],
  ['0-50,', 206, 0, 51],
  ['500-0', 416, 0, 0],
  ['5000-10000', 416, 0, 0],
  ['2048-', 416, 0, 0],
  ['-0', 416, 0, 0],
  ['junk', 200, 0, 2048],
  ['-', 200, 0, 2048],
];

type Row = (typeof table)[number];

function assertRange(answer: ClientAnswer, layer: Buffer, [text, status, first, end]: Row): void {
  assert.equal(answer.status, status, text);
  if (status === 416) {
    assert.equal(answer.headers['content-range'], 'bytes */2048');
    assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'RANGE_INVALID');
    return;
  }
  assert.ok(answer.body.equals(layer.subarray(first, end)), text);
  assert.equal(answer.headers['content-length'], String(end - first));
  assert.equal(answer.headers['content-range'], status === 206 ? `bytes ${first}-${end - 1}/2048` : undefined);
}

for (const row of table) {
  test(`the range ${row[0]} of a blob of 2048 bytes, cold, in flight and warm`, async (t) => {
    const { manifestUrl, layerUrl, layer } = await setScene(t, { layers: [2048] });
    await fetchRaw(manifestUrl);
    assertRange(await fetchRaw(layerUrl, range(row[0])), layer, row);
    await fetchRaw(layerUrl);
    assertRange(await fetchRaw(layerUrl, range(row[0])), layer, row);
    const other = await setScene(t, { layers: [2048] });
    await fetchRaw(other.manifestUrl);
    other.upstream.faults.push(stallAfter(1024, 50));
    const company = fetchRaw(other.layerUrl);
    assertRange(await fetchRaw(other.layerUrl, range(row[0])), other.layer, row);
    assert.ok((await company).body.equals(other.layer));
  });
}

test('If-Range counts only with the strong entity tag', async (t) => {
  const { layerUrl, layer } = await setScene(t, { layers: [2048] });
  const digest = digestOf(layer);
  const cases = { [`"${digest}"`]: 206, [`W/"${digest}"`]: 200, '"other"': 200, 'Tue, 24 Nov 2026 00:00:00 GMT': 200 };
  for (const [ifRange, status] of Object.entries(cases)) {
    const answer = await fetchRaw(layerUrl, { headers: { range: 'bytes=0-9', 'if-range': ifRange } });
    assert.equal(answer.status, status, ifRange);
  }
});

test('If-None-Match comes before Range, and needs access', async (t) => {
  const { layerUrl, layer, blobUrl } = await setScene(t);
  const etag = `"${digestOf(layer)}"`;
  const answer = await fetchRaw(layerUrl, { headers: { 'if-none-match': etag, range: 'bytes=0-9' } });
  assert.deepEqual([answer.status, answer.body.length], [304, 0]);
  const unknown = `sha256:${'b'.repeat(64)}` as const;
  assert.equal((await fetchRaw(blobUrl(unknown), { headers: { 'if-none-match': `"${unknown}"` } })).status, 404);
});

test('a bounded range fetches what it needs, rounded, and nothing else', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { layers: [20_000_000] });
  await fetchRaw(manifestUrl);
  const answer = await fetchRaw(layerUrl, range('19000000-19000099'));
  assert.ok(answer.body.equals(layer.subarray(19_000_000, 19_000_100)));
  assert.ok(upstream.blobBytes <= 128 * 1024, `${upstream.blobBytes}`);
});

test('an open-ended range fetches the whole', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t);
  await fetchRaw(manifestUrl);
  const answer = await fetchRaw(layerUrl, range('1000000-'));
  assert.ok(answer.body.equals(layer.subarray(1_000_000)));
  await upstream.close();
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
});
