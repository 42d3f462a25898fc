import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { fetchRaw, sendBytes } from '../support/client.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { setScene } from '../support/scene.ts';

const codeOf = (body: Buffer | string): unknown => JSON.parse(body.toString()).errors[0].code;

const bad: readonly (readonly [path: string, status: number, code: string])[] = [
  ['/v2/UPPER/manifests/v1', 400, 'NAME_INVALID'],
  ['/v2/a//b/manifests/v1', 400, 'NAME_INVALID'],
  ['/v2/../../etc/passwd/manifests/v1', 400, 'NAME_INVALID'],
  ['/v2/a%2Fb/manifests/v1', 400, 'NAME_INVALID'],
  ['/v2/a/manifests/', 400, 'TAG_INVALID'],
  ['/v2/a/manifests/-tag', 400, 'TAG_INVALID'],
  ['/v2/a/manifests/%zz', 400, 'TAG_INVALID'],
  ['/v2/a/manifests/sha256:totallywrong', 400, 'DIGEST_INVALID'],
  ['/v2/a/blobs/sha256:ABC', 400, 'DIGEST_INVALID'],
  ['/v2/a/blobs/md5:abc', 404, 'BLOB_UNKNOWN'],
  ['/v2/a/manifests/blake3:abc', 404, 'MANIFEST_UNKNOWN'],
  ['/v2/a/blobs/uploads/123', 404, 'BLOB_UPLOAD_UNKNOWN'],
  ['/v2/_catalog', 404, 'UNSUPPORTED'],
  ['/v2/nothing', 400, 'NAME_INVALID'],
  ['/v1/search', 404, 'NAME_UNKNOWN'],
  ['/extensions/v2/a', 404, 'NAME_UNKNOWN'],
];

test('paths that make no sense get an error in OCI form, and ask nobody', async (t) => {
  const { mirror, upstream } = await setScene(t);
  for (const [path, status, code] of bad) {
    const { text } = await sendBytes(mirror.port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(text, new RegExp(`^HTTP/1.1 ${status} `), path);
    assert.equal(codeOf(text.slice(text.indexOf('\r\n\r\n'))), code, path);
  }
  assert.equal(upstream.seen.length, 0);
});

test('everything that writes is 405, and its body is never a second request', async (t) => {
  const { mirror, upstream, manifestUrl } = await setScene(t);
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND']) {
    const answer = await fetchRaw(manifestUrl, { method });
    assert.equal(answer.status, 405, method);
    assert.equal(answer.headers['allow'], 'GET, HEAD');
    assert.equal(codeOf(answer.body), 'UNSUPPORTED');
  }
  const body = 'GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n';
  const head = `PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  const { text } = await sendBytes(mirror.port, head + body);
  assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1);
  assert.match(text, /connection: close/i);
  assert.equal(upstream.seen.length, 0);
});

test('a GET with a body is answered, and ends the connection', async (t) => {
  const { mirror } = await setScene(t);
  const { text } = await sendBytes(mirror.port, 'GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello');
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.match(text, /connection: close/i);
});

test('a TLS handshake on the plain port is refused at once, without a reset', async (t) => {
  const { mirror } = await setScene(t);
  const hello = Buffer.from('16030100c8010000c40303', 'hex');
  const { text, reset } = await sendBytes(mirror.port, hello);
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.equal(reset, false);
});

test('headers over 64 KiB are refused; 20 KiB of them are served', async (t) => {
  const { mirror } = await setScene(t);
  const request = (size: number) =>
    `GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: ${'a'.repeat(size)}\r\n\r\n`;
  assert.match((await sendBytes(mirror.port, request(20_000))).text, /^HTTP\/1\.1 200 /);
  assert.match((await sendBytes(mirror.port, request(70_000))).text, /^HTTP\/1\.1 431 /);
});

test('a client that closes its half of the connection, or vanishes, is let go', async (t) => {
  const { mirror, layer, layerUrl } = await setScene(t);
  const path = new URL(layerUrl).pathname;
  const { text } = await sendBytes(mirror.port, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`, true);
  assert.ok(text.length <= layer.length + 1000);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
});

const endless: Readonly<Record<string, string>> = {
  'headers without end': `HTTP/1.1 200 OK\r\n${'X-Header: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n'.repeat(100_000)}`,
  'a manifest without end': `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n${'['.repeat(10_000_000)}`,
  'no HTTP at all': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
  'a manifest that is no JSON': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
};

for (const [name, bytes] of Object.entries(endless)) {
  test(`an upstream that sends ${name} is a bad gateway`, async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.write(bytes));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const mirror = await startMirror(t, { config: upstreamConfig(`http://127.0.0.1:${port}`) });
    const answer = await fetchRaw(`${mirror.url}/v2/team/app/manifests/v1`);
    assert.equal(answer.status, 502);
    assert.equal((await fetchRaw(`${mirror.url}/v2/`)).status, 200);
  });
}
