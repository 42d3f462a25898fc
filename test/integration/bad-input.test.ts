import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { ociManifest } from '../../src/oci/media-types.ts';
import { fetchRaw, sendBytes } from '../support/client.ts';
import { redirectTo } from '../support/faults.ts';
import { manifestOf } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { type RawAnswer, startRawUpstream } from '../support/raw-upstream.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

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

test('methods and types of content that the framework refuses are answered in the same form', async (t) => {
  const { mirror } = await setScene(t);
  const requests = [
    'POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Type: bad\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    'QUERY /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
  ];
  for (const request of requests) {
    const { text } = await sendBytes(mirror.port, request);
    assert.match(text, /^HTTP\/1.1 405 /);
    assert.equal(codeOf(text.slice(text.indexOf('\r\n\r\n'))), 'UNSUPPORTED');
  }
});

test('garbage behind a request is not answered into what is being sent', async (t) => {
  const { mirror, layerUrl, layer, manifestUrl } = await setScene(t, { layers: [30_000_000] });
  await fetchRaw(manifestUrl);
  await fetchRaw(layerUrl);
  const socket = connect({ port: mirror.port, host: '127.0.0.1' });
  socket.write(`GET ${new URL(layerUrl).pathname} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const chunks: Buffer[] = [];
  socket.once('data', () => socket.write('\x16\x03\x01garbage\r\n\r\n'));
  socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => {});
  await once(socket, 'close');
  const answer = Buffer.concat(chunks);
  const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
  assert.ok(body.length > 0 && layer.subarray(0, body.length).equals(body));
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

test('headers over 64 KiB are refused; 63 KiB of them are served', async (t) => {
  const { mirror } = await setScene(t);
  const request = (size: number) =>
    `GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: ${'a'.repeat(size)}\r\n\r\n`;
  for (const size of [20_000, 63 * 1024]) {
    assert.match((await sendBytes(mirror.port, request(size))).text, /^HTTP\/1\.1 200 /, `${size}`);
  }
  for (const size of [64 * 1024, 70_000]) {
    assert.match((await sendBytes(mirror.port, request(size))).text, /^HTTP\/1\.1 431 /, `${size}`);
  }
});

test('a client that closes its half of the connection, or vanishes, is let go', async (t) => {
  const { mirror, layer, layerUrl } = await setScene(t);
  const path = new URL(layerUrl).pathname;
  const { text } = await sendBytes(mirror.port, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`, true);
  assert.ok(text.length <= layer.length + 1000);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
});

const mib = 1024 * 1024;
const kilobyte = 'x'.repeat(1024);
const status = (line: string, ...headers: readonly string[]) => [`HTTP/1.1 ${line}`, ...headers, '', ''].join('\r\n');

/** What an upstream answers to everything, what a client is told, and how many bytes are taken before that. */
const upstreams: Readonly<Record<string, readonly [answer: RawAnswer, status: number, taken: number]>> = {
  'headers without end': [{ head: 'HTTP/1.1 200 OK\r\n', again: `X-Header: ${kilobyte}\r\n` }, 502, mib],
  'one header without end': [{ head: 'HTTP/1.1 200 OK\r\nX-Header: ', again: kilobyte }, 502, mib],
  'headers that never end, slowly': [{ head: 'HTTP/1.1 200 OK\r\n', again: 'X-Header: x\r\n', every: 10 }, 504, mib],
  'early hints without end': [
    { head: '', again: status('103 Early Hints', 'Link: </x>') },
    504,
    Number.POSITIVE_INFINITY,
  ],
  'a manifest without end': [
    { head: status('200 OK', `Content-Type: ${ociManifest}`), again: '['.repeat(1024) },
    502,
    8 * mib,
  ],
  'a manifest longer than manifests are': [
    { head: status('200 OK', `Content-Length: ${2 ** 40}`), again: kilobyte },
    502,
    8 * mib,
  ],
  'an error without end': [{ head: status('500 Oops'), again: kilobyte }, 502, mib],
  'a refusal without end': [{ head: status('404 Not Found'), again: kilobyte }, 404, mib],
  'no HTTP at all': [{ head: 'SSH-2.0-OpenSSH_9.2\r\n\r\n' }, 502, mib],
  'a manifest that is no JSON': [{ head: `${status('200 OK', 'Content-Length: 5')}hello` }, 502, mib],
  'a length that is none': [{ head: `${status('200 OK', 'Content-Length: -5')}hello` }, 502, mib],
  'two lengths': [{ head: `${status('200 OK', 'Content-Length: 5', 'Content-Length: 6')}hello!` }, 502, mib],
  'nothing at all': [{ head: '' }, 504, mib],
};

test('an upstream that sends nonsense fails for who asks it, takes no memory, and is left', async (t) => {
  const raw = await Promise.all(Object.values(upstreams).map(([answer]) => startRawUpstream(t, () => answer)));
  const entries = raw.map(({ url }, at) => [
    `u${at}.test`,
    { endpoints: [url], insecure: true, stallTimeout: '300ms' },
  ]);
  const mirror = await startMirror(t, { config: { upstreams: Object.fromEntries(entries) } });
  for (const [at, [name, [answer, expected, taken]]] of Object.entries(upstreams).entries()) {
    const upstream = raw[at] ?? assert.fail();
    const told = await fetchRaw(`${mirror.url}/v2/u${at}.test/team/app/manifests/v1`);
    assert.equal(told.status, expected, name);
    assert.ok(codeOf(told.body), name);
    // Both ends of a connection have buffers of their own.
    assert.ok(upstream.sent < taken + 16 * mib, `${name}: ${upstream.sent} bytes`);
    if (answer.again !== undefined) await upstream.forsaken();
  }
  assert.equal((await fetchRaw(`${mirror.url}/v2/`)).status, 200);
});

test('redirects that lead nowhere else end', async (t) => {
  const upstream = await startRawUpstream(t, () => ({
    head: status('307 Again', 'Location: /v2/x', 'Content-Length: 0'),
  }));
  const mirror = await startMirror(t, { config: upstreamConfig(upstream.url) });
  assert.equal((await fetchRaw(`${mirror.url}/v2/team/app/manifests/v1`)).status, 502);
  assert.ok(upstream.seen.length <= 10, `${upstream.seen.length} requests`);
});

test('a token service that sends without end gives no token', async (t) => {
  const upstream = await startRawUpstream(t, (line) =>
    line.includes('/token')
      ? { head: status('200 OK'), again: kilobyte }
      : { head: status('401 No', `WWW-Authenticate: Bearer realm="${upstream.url}/token"`, 'Content-Length: 0') },
  );
  const mirror = await startMirror(t, { config: upstreamConfig(upstream.url) });
  assert.equal((await fetchRaw(`${mirror.url}/v2/team/app/manifests/v1`)).status, 502);
  assert.ok(upstream.sent < 17 * mib, `${upstream.sent} bytes`);
});

test('a blob without end is cut where it should end, and what came of it never looks complete', async (t) => {
  const bad = await startRawUpstream(t, () => ({
    head: status('206 Partial Content', 'Content-Range: bytes 0-65535/3000000'),
    again: kilobyte,
  }));
  const options = { giveUp: '50ms', privateNetwork: true };
  const { mirror, upstream, manifestUrl, layer, layerUrl } = await setScene(t, { upstream: options });
  await fetchRaw(manifestUrl);
  const redirect = redirectTo(bad.url);
  upstream.faults.push(redirect);
  const isRight = async () => {
    const { complete, status: code, body } = await fetchRaw(layerUrl);
    assert.equal(complete && code === 200, body.equals(layer));
    return body.equals(layer);
  };
  assert.equal(await isRight(), false);
  await bad.forsaken();
  const [, taken] = /^weir_upstream_bytes_total\{.*\} (\d+)$/m.exec(await mirror.metrics()) ?? [];
  assert.ok(Number(taken) <= bad.seen.length * 65_536, `${taken} bytes`);
  Object.assign(redirect, { times: 0 });
  // What came before it was found out may be kept, until its digest shows what it is.
  await until(isRight);
});

test('a manifest that names more than any image has is refused, before it takes time', async (t) => {
  const { mirror, upstream, layer } = await setScene(t);
  const one = { mediaType: 'x', digest: digestOf(layer), size: layer.length };
  const many = manifestOf({ layers: Array.from({ length: 20_000 }, () => one) }, ociManifest);
  upstream.putManifest('team/many', many, 'v1');
  const answer = await fetchRaw(`${mirror.url}/v2/team/many/manifests/v1`);
  assert.deepEqual([answer.status, codeOf(answer.body)], [502, 'MANIFEST_INVALID']);
});

test('a manifest cannot put headers of its own into an answer', async (t) => {
  const { mirror, upstream } = await setScene(t);
  const split = manifestOf({ mediaType: 'a/b\r\nX-Evil: 1', layers: [] }, 'a/b');
  upstream.putManifest('team/split', split, 'v1');
  const answer = await fetchRaw(`${mirror.url}/v2/team/split/manifests/v1`);
  assert.deepEqual([answer.status, answer.headers['content-type']], [200, ociManifest]);
  assert.deepEqual(answer.body, split.bytes);
  assert.equal(answer.headers['x-evil'], undefined);
});

test('an upstream that is not configured is unknown, wherever a client names it', async (t) => {
  const { mirror, upstream } = await setScene(t);
  for (const path of ['/v2/team/app/manifests/v1?ns=evil.internal', '/evil.internal/v2/team/app/manifests/v1']) {
    const answer = await fetchRaw(`${mirror.url}${path}`);
    assert.deepEqual([answer.status, codeOf(answer.body)], [404, 'NAME_UNKNOWN']);
  }
  assert.equal(upstream.seen.length, 0);
});

test('a namespace that was not asked for is not named in the answer, whatever it is', async (t) => {
  const { mirror } = await setScene(t);
  for (const ns of ['evil.internal', '%0d%0aX-Evil:1', '\u00e9']) {
    const answer = await fetchRaw(`${mirror.url}/up.test/v2/team/app/manifests/v1?ns=${encodeURI(ns)}`);
    assert.deepEqual([answer.status, answer.headers['oci-namespace']], [200, undefined], ns);
  }
});

const odd: readonly (readonly [head: string, answer: RegExp])[] = [
  ['GET /v2/ HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['GET /v2/ HTTP/1.0\r\n\r\n', /^HTTP\/1\.1 200 /],
  ['GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['GET /v2/ \0 HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['GET /v2/ HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd', /^HTTP\/1\.1 400 /],
  [
    'GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    /^HTTP\/1\.1 400 /,
  ],
  ['GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n', /^HTTP\/1\.1 200 /],
  ['GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n', /HTTP\/1\.1 200 /],
  ['GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: wonders\r\n\r\n', /^HTTP\/1\.1 417 /],
  [
    `GET /v2/${'a/'.repeat(30_000)}manifests/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    /^HTTP\/1\.1 400 .*NAME_INVALID/s,
  ],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^HTTP\/1\.1 [45]\d\d /],
];

test('requests that are odd or no HTTP are answered or closed, each once, and ask nobody', async (t) => {
  const { mirror, upstream } = await setScene(t);
  for (const [head, answer] of odd) {
    const { text } = await sendBytes(mirror.port, head);
    assert.match(text, answer, head.slice(0, 80));
    assert.equal(text.match(/HTTP\/1\.1 [2-5]/g)?.length, 1, head.slice(0, 80));
  }
  assert.equal(upstream.seen.length, 0);
});

test('clients that begin a request and say no more hold up nobody', async (t) => {
  const { mirror, layer, layerUrl } = await setScene(t);
  const halves = Array.from({ length: 100 }, (_, at) =>
    sendBytes(mirror.port, 'GET /v2/ HTTP/1.1\r\nHost: x'.slice(0, at)),
  );
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  await mirror.close();
  assert.deepEqual(new Set((await Promise.all(halves)).map(({ text }) => text)), new Set(['']));
});

test('a range that makes no sense is the whole, 416 or 400, as clients can go on from', async (t) => {
  const { layer, layerUrl } = await setScene(t);
  const answers: readonly (readonly [range: string, status: number])[] = [
    ['bytes=x', 200],
    ['items=0-1', 200],
    ['bytes=9-1', 416],
    [`bytes=${layer.length}-`, 416],
    ['bytes=-0', 416],
    ['bytes=0-1,x', 400],
  ];
  for (const [range, expected] of answers) {
    const answer = await fetchRaw(layerUrl, { headers: { range } });
    assert.equal(answer.status, expected, range);
    if (expected !== 200) assert.ok(codeOf(answer.body), range);
  }
});

test('an answer whose body never comes holds up nobody, where the body does not matter', {
  timeout: 30_000,
}, async (t) => {
  const heads = ['404 Not Found', '307 Temporary Redirect\r\nLocation: /elsewhere', '500 Internal Server Error'];
  for (const head of heads) {
    const answer: RawAnswer = { head: `HTTP/1.1 ${head}\r\nContent-Length: 1000\r\n\r\n` };
    const absent: RawAnswer = { head: 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n' };
    const upstream = await startRawUpstream(t, (line) => (line.includes('/elsewhere') ? absent : answer));
    const mirror = await startMirror(t, { config: upstreamConfig(upstream.url, { giveUp: '1s' }) });
    const url = `${mirror.url}/v2/a/b/blobs/${digestOf(Buffer.from('x'))}`;
    const { status } = await fetchRaw(url, { headers: { 'user-agent': 'cri-o/1.30.0' } });
    assert.ok(status >= 404, `${head}: ${status}`);
  }
});
