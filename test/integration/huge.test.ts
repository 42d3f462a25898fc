import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { ociManifest } from '../../src/oci/media-types.ts';
import { fetchRaw } from '../support/client.ts';
import { manifestOf } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { readParts } from '../support/multipart.ts';

const gib = 2 ** 30;
const size = 300 * gib;
const model = { mediaType: 'application/vnd.ollama.image.model', digest: digestOf(Buffer.from('a model')), size };
const manifest = manifestOf({ schemaVersion: 2, mediaType: ociManifest, config: model, layers: [model] }, ociManifest);

/** Content that nobody has to keep: every 8 bytes are their own offset. */
function contentAt(start: number, end: number): Buffer {
  const from = start - (start % 8);
  const bytes = Buffer.alloc(Math.ceil((end - from) / 8) * 8);
  for (let at = 0; at < bytes.length; at += 8) bytes.writeBigUInt64BE(BigInt(from + at), at);
  return bytes.subarray(start - from, end - from);
}

function answer({ url = '', headers }: IncomingMessage, response: ServerResponse, sent: (bytes: number) => void): void {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
  if (url.includes('/manifests/')) {
    response.writeHead(200, { 'content-type': ociManifest }).end(manifest.bytes);
    return;
  }
  const [start, end] = [Number(first), Number(last) + 1];
  sent(end - start);
  response.writeHead(206, { 'content-range': `bytes ${start}-${end - 1}/${size}`, 'content-length': end - start });
  response.end(contentAt(start, end));
}

async function setScene(t: TestContext) {
  const upstream = { bytes: 0 };
  const server = createServer((request, response) =>
    answer(request, response, (bytes) => {
      upstream.bytes += bytes;
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const mirror = await startMirror(t, { config: upstreamConfig(`http://127.0.0.1:${port}`) });
  await fetchRaw(`${mirror.url}/v2/models/large/manifests/latest`);
  return { upstream, url: `${mirror.url}/v2/models/large/blobs/${model.digest}` };
}

test('a blob that is larger than the cache and the disk is read in ranges, and only these are fetched', async (t) => {
  const { upstream, url } = await setScene(t);
  const head = await fetchRaw(url, { method: 'HEAD' });
  assert.equal(head.headers['content-length'], String(size));
  const tail = await fetchRaw(url, { headers: { range: 'bytes=-1000' } });
  assert.equal(tail.headers['content-range'], `bytes ${size - 1000}-${size - 1}/${size}`);
  assert.ok(tail.body.equals(contentAt(size - 1000, size)));
  const starts = Array.from({ length: 50 }, (_, index) => index * 5 * gib + 12_345);
  const range = `bytes=${starts.map((start) => `${start}-${start + 99}`).join(',')}`;
  const scattered = await fetchRaw(url, { headers: { range } });
  const parts = readParts(scattered.body, String(scattered.headers['content-type']));
  for (const [index, start] of starts.entries()) assert.ok(parts[index]?.bytes.equals(contentAt(start, start + 100)));
  assert.ok(upstream.bytes < 20 * 2 ** 20, `${upstream.bytes} bytes`);
});

test('2,048 single bytes far into it are as many parts, however long their numbers are', async (t) => {
  const { upstream, url } = await setScene(t);
  const starts = Array.from({ length: 2048 }, (_, index) => 250_000_000_000 + index * 1900);
  const range = `bytes=${starts.map((start) => `${start}-${start}`).join(',')}`;
  assert.ok(range.length > 53_000, `${range.length} bytes`);
  const answer = await fetchRaw(url, { headers: { range } });
  assert.deepEqual([answer.status, answer.complete], [206, true]);
  const parts = readParts(answer.body, String(answer.headers['content-type']));
  assert.deepEqual(
    parts.map(({ start, end, total }) => [start, end, total]),
    starts.map((start) => [start, start + 1, size]),
  );
  for (const { start, end, bytes } of parts) assert.ok(bytes.equals(contentAt(start, end)), `${start}`);
  assert.ok(upstream.bytes < 40 * 2 ** 20, `${upstream.bytes} bytes`);
});
