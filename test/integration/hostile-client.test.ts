import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { fetchRaw, sendBytes } from '../support/client.ts';
import { slow } from '../support/faults.ts';
import type { TestMirror } from '../support/mirror.ts';
import { openFiles } from '../support/open-files.ts';
import { type Scene, type SceneOptions, setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

const mebibyte = 1024 * 1024;

/** What Node.js complains of: files that nobody has closed, listeners that nobody has taken away. */
const warnings: Error[] = [];
process.on('warning', (warning) => warnings.push(warning));

/** A scene whose image has been pulled. */
async function setWarmScene(t: TestContext, options?: SceneOptions): Promise<Scene> {
  const scene = await setScene(t, options);
  await fetchRaw(scene.manifestUrl);
  assert.ok((await fetchRaw(scene.layerUrl)).body.equals(scene.layer));
  return scene;
}

/** Connections that do what they are told, and end with the test. */
async function open(t: TestContext, { port }: TestMirror, count: number, bytes = ''): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect({ port, host: '127.0.0.1' }));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (const socket of sockets) socket.on('error', () => {});
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  for (const socket of sockets) socket.write(bytes);
  return sockets;
}

/** The mirror's own server, as Node.js tells of it. */
async function serverOf({ url }: TestMirror): Promise<Server> {
  let found: Server | undefined;
  const listen = (message: unknown) => {
    found = (message as { server: Server }).server;
  };
  subscribe('http.server.request.start', listen);
  await fetchRaw(`${url}/livez`);
  unsubscribe('http.server.request.start', listen);
  return found ?? assert.fail('no server');
}

/** Nothing that an operator should look at: a client's doings are no trouble of the mirror. */
function assertQuiet({ log }: TestMirror): void {
  const loud = log.filter(({ level }) => level === 'error' || level === 'warn');
  assert.deepEqual(loud, []);
  assert.deepEqual(warnings, []);
}

test('headers that never end are closed, and so is a connection that says nothing', async (t) => {
  const { mirror } = await setScene(t);
  const server = await serverOf(mirror);
  assert.ok(server.headersTimeout > 0 && server.headersTimeout <= 60_000);
  server.headersTimeout = 100;
  const slow = await open(t, mirror, 20, 'GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ');
  const drip = setInterval(() => {
    for (const socket of slow) if (socket.writable) socket.write('a');
  }, 50);
  t.after(() => clearInterval(drip));
  const silent = await open(t, mirror, 20);
  await Promise.all([...slow, ...silent].map((socket) => once(socket.resume(), 'close')));
  assert.equal((await fetchRaw(`${mirror.url}/v2/`)).status, 200);
  assertQuiet(mirror);
});

const bombs: Readonly<Record<string, string>> = {
  'one long header': `X: ${'a'.repeat(mebibyte)}\r\n`,
  'many headers': 'X: a\r\n'.repeat(200_000),
  'many short names': Array.from({ length: 100_000 }, (_, index) => `${index}:\r\n`).join(''),
  'a long name': `${'X'.repeat(mebibyte)}: a\r\n`,
  'a header without end': 'X: a'.repeat(mebibyte),
};

test('header bombs are refused', async (t) => {
  const { mirror } = await setScene(t);
  for (const [name, bomb] of Object.entries(bombs)) {
    const { text } = await sendBytes(mirror.port, `GET /v2/ HTTP/1.1\r\nHost: x\r\n${bomb}\r\n`);
    assert.match(text, /^(?:HTTP\/1\.1 431 .*\r\n|$)/, name);
  }
  const long = await sendBytes(mirror.port, `GET /v2/${'a/'.repeat(mebibyte)}manifests/v1 HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.match(long.text, /^(?:HTTP\/1\.1 4\d\d .*\r\n|$)/);
  assertQuiet(mirror);
});

const hidden = 'GET /v2/team/smuggled/manifests/v1 HTTP/1.1\r\nHost: x\r\n\r\n';
const chunked = 'Transfer-Encoding: chunked\r\n';

/** What stands between the request line with its Host and the end. Behind each stands a request that must stay unseen. */
const shapes: Readonly<Record<string, string>> = {
  'Content-Length and Transfer-Encoding': `Content-Length: 5\r\n${chunked}\r\n0\r\n\r\n`,
  'Transfer-Encoding and Content-Length': `${chunked}Content-Length: 3\r\n\r\n0\r\n\r\n`,
  'two lengths': 'Content-Length: 0\r\nContent-Length: 5\r\n\r\n',
  'the same length twice': 'Content-Length: 5\r\nContent-Length: 5\r\n\r\n',
  'a list of lengths': 'Content-Length: 0, 5\r\n\r\n',
  'a signed length': 'Content-Length: +0\r\n\r\n',
  'a negative length': 'Content-Length: -1\r\n\r\n',
  'a hexadecimal length': 'Content-Length: 0x0\r\n\r\n',
  'a length in two parts': 'Content-Length: 0 5\r\n\r\n',
  'a length beyond 64 bits': 'Content-Length: 18446744073709551616\r\n\r\n',
  'chunked and more': 'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
  'nearly chunked': 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
  'chunked twice': `${chunked}${chunked}\r\n0\r\n\r\n`,
  'chunked behind a space': 'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
  'chunked behind a vertical tab': 'Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n',
  'chunked in a folded line': 'Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n',
  'a chunk with an extension': `${chunked}\r\n0;ext="\r\n\r\n`,
  'a chunk with a long extension': `${chunked}\r\n0;${'e'.repeat(100_000)}\r\n\r\n`,
  'a chunk beyond 64 bits': `${chunked}\r\nfffffffffffffffff\r\n\r\n`,
  'a chunk that ends in a bare LF': `${chunked}\r\n0\n\n`,
  'a trailer': `${chunked}\r\n0\r\nContent-Length: 5\r\n\r\n`,
  'a body that is a request': `Content-Length: ${hidden.length}\r\n\r\n`,
  'a folded line': 'Connection: close\r\nX: a\r\n b\r\n\r\n',
  'a folded first line': ' X: a\r\nConnection: close\r\n\r\n',
  'bare LFs': 'Connection: close\nX: a\n\n',
  'a bare CR': 'Connection: close\r\nX: a\rY: b\r\n\r\n',
  'a line without a colon': 'Connection: close\r\nX\r\n\r\n',
  'a NUL': 'Connection: close\r\nX: a\0b\r\n\r\n',
  'another Host': 'Host: other\r\nConnection: close\r\n\r\n',
  'an expectation': 'Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n',
  'an impossible expectation': 'Expect: wonders\r\nContent-Length: 5\r\nConnection: close\r\n\r\n',
  'an upgrade': 'Connection: Upgrade, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
  'headers beyond those that are counted': `${'X: a\r\n'.repeat(3000)}Content-Length: ${hidden.length}\r\n\r\n`,
};

test('no shape of a request hides another one in it', { timeout: 120_000 }, async (t) => {
  const { mirror, upstream } = await setScene(t);
  for (const method of ['GET', 'POST']) {
    for (const [name, shape] of Object.entries(shapes)) {
      const { text } = await sendBytes(mirror.port, `${method} /v2/ HTTP/1.1\r\nHost: x\r\n${shape}${hidden}`);
      const answers = text.match(/HTTP\/1\.1 (?!100)\d\d\d /g) ?? [];
      assert.ok(answers.length <= 1, `${method} with ${name}: ${text}`);
    }
  }
  assert.equal(upstream.seen.length, 0);
  assert.doesNotMatch(JSON.stringify(mirror.log), /smuggled/);
  assertQuiet(mirror);
});

const targets = [
  '/v2/../../etc/passwd/manifests/v1',
  '/v2/%2e%2e/%2e%2e/blobs/sha256:00',
  '/v2/team%2Fapp/manifests/v1',
  '/v2/team%252Fapp/manifests/v1',
  '/v2/team//app/manifests/v1',
  '//v2/team/app/manifests/v1',
  '/./v2/team/app/manifests/v1',
  '/v2/./team/app/manifests/v1',
  '/v2/team/app/./manifests/v1',
  '/v2/team/app/manifests/..',
  '/v2/team/app/manifests/v1%00',
  '/v2/team/app/manifests/v1/',
  '/v2/team/app/manifests/v1;x=1',
  '/v2/team/app/manifests/v1#x',
  '/v2/team/app/manifests/%c0%ae%c0%ae',
  '/v2/team/app/manifests/%',
  '/v2/team\\app/manifests/v1',
  '/v2/TEAM/app/manifests/v1',
  `/v2/${'a'.repeat(300)}/manifests/v1`,
  `/v2/team/app/manifests/${'v'.repeat(200)}`,
  '/V2/team/app/manifests/v1',
  '/../v2/team/app/manifests/v1',
  '/up.test/../v2/team/app/manifests/v1',
  '/%2e%2e/v2/team/app/manifests/v1',
  '/livez/../v2/team/app/manifests/v1',
  'http://up.test/v2/team/app/manifests/v1',
  'http://127.0.0.1/v2/team/app/manifests/v1',
  '/v2/team/app/manifests/v1?ns=evil.test',
  '/v2/team/app/manifests/v1?ns=127.0.0.1:1',
  '/v2/team/app/manifests/v1?ns=up.test/../x',
  '*',
  '?',
  'v2/team/app/manifests/v1',
  '/v2/team/app/manifests/v1 HTTP/1.1 x',
  '/v2/team/app/manifests/\0v1',
  '/v2/team/app/manifests/\xc0\xae',
];

test('no trick with a path reaches anything', async (t) => {
  const { mirror, upstream } = await setScene(t);
  for (const target of targets) {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      const request = `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
      const { text } = await sendBytes(mirror.port, Buffer.from(request, 'latin1'));
      assert.match(text, /^HTTP\/1\.1 4\d\d .*\r\n/, `${method} ${target}`);
      const body = text.slice(text.indexOf('\r\n\r\n') + 4);
      if (body !== '') assert.equal(typeof JSON.parse(body).errors[0].code, 'string', `${method} ${target}`);
    }
  }
  const tunnel = await sendBytes(mirror.port, 'CONNECT up.test:443 HTTP/1.1\r\nHost: up.test:443\r\n\r\n');
  assert.doesNotMatch(tunnel.text, /^HTTP\/1\.1 2/);
  assert.equal(upstream.seen.length, 0);
  assertQuiet(mirror);
});

/** Opens a Range request, and leaves after its first bytes. */
function glance({ port }: TestMirror, path: string, from: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('error', reject);
    socket.once('data', (bytes) => {
      socket.destroy();
      resolve(bytes.toString('latin1', 0, 12));
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nRange: bytes=${from}-\r\n\r\n`);
  });
}

test('thousands of Range requests that are opened and closed leave nothing behind', { timeout: 120_000 }, async (t) => {
  const { mirror, layerUrl, layer, upstream } = await setWarmScene(t);
  const path = new URL(layerUrl).pathname;
  const before = openFiles();
  const memory = process.memoryUsage.rss();
  const fetched = upstream.blobBytes;
  let left = 2000;
  const client = async () => {
    while (left-- > 0) assert.equal(await glance(mirror, path, (left * 7919) % layer.length), 'HTTP/1.1 206');
  };
  await Promise.all(Array.from({ length: 50 }, client));
  await until(() => openFiles() <= before);
  assert.ok(process.memoryUsage.rss() - memory < 200 * mebibyte, `${process.memoryUsage.rss() - memory}`);
  assert.equal(upstream.blobBytes, fetched);
  assertQuiet(mirror);
});

test('nor while the blob arrives: it is fetched once, whatever is asked for and left', {
  timeout: 120_000,
}, async (t) => {
  const { mirror, manifestUrl, layerUrl, layer, upstream } = await setScene(t, { layers: [10_000_000] });
  await fetchRaw(manifestUrl);
  upstream.faults.push(slow(4_000_000));
  const whole = fetchRaw(layerUrl);
  let left = 300;
  const client = async () => {
    while (left-- > 0) assert.equal(await glance(mirror, new URL(layerUrl).pathname, left * 30_011), 'HTTP/1.1 206');
  };
  await Promise.all(Array.from({ length: 30 }, client));
  assert.ok((await whole).body.equals(layer));
  assert.equal(upstream.blobBytes, layer.length);
  assertQuiet(mirror);
});

test('clients that never read hold what they were given, and no more', { timeout: 120_000 }, async (t) => {
  const clients = { maxStreams: 250 };
  const { mirror, layerUrl, layer } = await setWarmScene(t, { layers: [20_000_000], config: { clients } });
  const request = `GET ${new URL(layerUrl).pathname} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const before = openFiles();
  const memory = process.memoryUsage.rss();
  for (let round = 0; round < 3; round++) {
    const sockets = await open(t, mirror, 200, request);
    await Promise.all(sockets.map((socket) => once(socket, 'readable')));
    assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
    assert.ok(process.memoryUsage.rss() - memory < 300 * mebibyte, `${process.memoryUsage.rss() - memory}`);
    for (const socket of sockets) socket.destroy();
    await until(() => openFiles() <= before);
  }
  assert.equal((await fetchRaw(`${mirror.url}/v2/`)).status, 200);
  assertQuiet(mirror);
});

test('a client that asks for a lot at once, and reads nothing of it, gets no more than others', {
  timeout: 120_000,
}, async (t) => {
  const { mirror, layerUrl, layer } = await setWarmScene(t, { layers: [20_000_000] });
  const request = `GET ${new URL(layerUrl).pathname} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const before = openFiles();
  const memory = process.memoryUsage.rss();
  const sockets = await open(t, mirror, 5, request.repeat(300));
  await Promise.all(sockets.map((socket) => once(socket, 'readable')));
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.ok(process.memoryUsage.rss() - memory < 300 * mebibyte, `${process.memoryUsage.rss() - memory}`);
  for (const socket of sockets) socket.destroy();
  await until(() => openFiles() <= before);
  assertQuiet(mirror);
});

test('a thousand idle connections hold up nobody', { timeout: 120_000 }, async (t) => {
  const { mirror, layerUrl, layer } = await setWarmScene(t);
  const before = openFiles();
  const idle = await open(t, mirror, 1000);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.equal((await fetchRaw(`${mirror.url}/readyz`)).status, 200);
  for (const socket of idle) socket.destroy();
  await until(() => openFiles() <= before);
  assertQuiet(mirror);
});
