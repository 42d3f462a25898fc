import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { makeCertificate } from '../support/certificate.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { endless, type Hostile, leadTo, raw, startHostile, startVictim, type Trick } from '../support/hostile.ts';
import { type FixtureImage, makeImage } from '../support/images.ts';
import { startMirror, type TestMirror, upstreamConfig } from '../support/mirror.ts';
import { until } from '../support/until.ts';

interface Stage {
  readonly hostile: Hostile;
  readonly mirror: TestMirror;
  readonly image: FixtureImage;
  readonly layer: Buffer;
  readonly manifestUrl: string;
  readonly layerUrl: string;
}

/** A mirror before a registry that is about to turn bad. It gives up soon. */
async function setStage(
  t: TestContext,
  more: object = {},
  { layers = [300_000], ...options }: { clock?: FakeClock; layers?: readonly number[] } = {},
): Promise<Stage> {
  const image = makeImage(...layers);
  const hostile = await startHostile(t, image);
  const config = upstreamConfig(hostile.url, { giveUp: '200ms', tagTtl: '0ms', negativeTtl: '0ms', ...more });
  const mirror = await startMirror(t, { config, ...options });
  return { hostile, mirror, ...placesOf(mirror, image) };
}

function placesOf(mirror: TestMirror, image: FixtureImage) {
  const [layer = Buffer.alloc(0)] = image.layers;
  const manifestUrl = `${mirror.url}/v2/team/app/manifests/v1`;
  return { image, layer, manifestUrl, layerUrl: `${mirror.url}/v2/team/app/blobs/${digestOf(layer)}` };
}

/** What was done to the mirror has left no trace: it lives, and what it serves now is true. */
async function assertUnharmed({ hostile, mirror, image, layer, manifestUrl, layerUrl }: Stage): Promise<void> {
  hostile.tricks.manifests = hostile.tricks.blobs = hostile.tricks.token = undefined;
  assert.equal((await fetchRaw(`${mirror.url}/v2/`)).status, 200);
  assert.ok((await fetchRaw(manifestUrl)).body.equals(image.manifest.bytes));
  // What came of the blob before was in its place until its digest said otherwise: then a client gets less than the whole.
  for (let attempt = 0; ; attempt++) {
    const { complete, body } = await fetchRaw(layerUrl);
    if (complete && body.equals(layer)) return;
    assert.ok(!complete && attempt < 3, `${complete}, after ${attempt} more`);
  }
}

async function bytesOnDisk(dir: string): Promise<number> {
  const names = await readdir(dir, { recursive: true });
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(dir, name)).then(
        (found) => found.blocks * 512,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Ways to write addresses of this machine and its neighbours. */
const privatePlaces = (port: number) => [
  `http://127.0.0.1:${port}/`,
  `http://127.1:${port}/`,
  `http://2130706433:${port}/`,
  `http://0x7f000001:${port}/`,
  `http://0177.0.0.1:${port}/`,
  `http://0:${port}/`,
  `http://[::1]:${port}/`,
  `http://[::ffff:127.0.0.1]:${port}/`,
  `http://[::ffff:7f00:1]:${port}/`,
  `http://[::127.0.0.1]:${port}/`,
  `http://[64:ff9b::7f00:1]:${port}/`,
  `http://localhost:${port}/`,
  `http://LOCALHOST.:${port}/`,
  `http://registry.test@127.0.0.1:${port}/`,
  `//127.0.0.1:${port}/`,
  `http:\\\\127.0.0.1:${port}/`,
  'http://169.254.169.254/latest/meta-data/iam/security-credentials/',
  'http://10.0.0.1/',
  'http://192.168.0.1/',
  'http://[fd00::1]/',
  'file:///etc/passwd',
  'ftp://127.0.0.1/',
  'data:text/plain,s3cret',
  'javascript:alert(1)',
];

test('a redirect leads to no private address, in whatever way that is written', async (t) => {
  const victim = await startVictim(t);
  const stage = await setStage(t, { giveUp: '1ms' });
  const { hostile, manifestUrl, layerUrl, mirror } = stage;
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  for (const place of privatePlaces(victim.port)) {
    hostile.tricks.blobs = leadTo(place);
    hostile.tricks.manifests = leadTo(place, 302);
    const blob = await fetchRaw(layerUrl);
    assert.ok(blob.status === 502 || blob.status === 503, place);
    const manifest = await fetchRaw(manifestUrl.replace('v1', 'v2'));
    assert.ok(manifest.status === 502 || manifest.status === 503, place);
    assert.ok(!`${blob.body}${manifest.body}${JSON.stringify([blob.headers, manifest.headers])}`.includes('s3cret'));
  }
  assert.equal(victim.visits(), 0);
  assert.doesNotMatch(JSON.stringify(mirror.log), /meta-data|\/etc\/passwd/);
  await assertUnharmed(stage);
});

test('a challenge leads to no private address either', async (t) => {
  const victim = await startVictim(t);
  const stage = await setStage(t);
  const { hostile, manifestUrl } = stage;
  for (const place of privatePlaces(victim.port)) {
    hostile.tricks.manifests = (_, response) =>
      void response.writeHead(401, { 'www-authenticate': `Bearer realm="${place}",service="s"` }).end();
    const { status } = await fetchRaw(manifestUrl);
    assert.ok(status === 502 || status === 503, place);
  }
  assert.equal(victim.visits(), 0);
  await assertUnharmed(stage);
});

test('a redirect or a challenge never leads from https to http, even where plain http is allowed', async (t) => {
  const victim = await startVictim(t);
  const certificate = makeCertificate('localhost');
  const image = makeImage(1000);
  const hostile = await startHostile(t, image, certificate);
  const more = { privateNetwork: true, ca: certificate.certificateFile, tagTtl: '0ms', giveUp: '1ms' };
  const mirror = await startMirror(t, { config: upstreamConfig(hostile.url, more) });
  const stage = { hostile, mirror, ...placesOf(mirror, image) };
  const { manifestUrl, layerUrl } = stage;
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  hostile.tricks.blobs = leadTo(`http://localhost:${victim.port}/`);
  assert.equal((await fetchRaw(layerUrl)).status, 502);
  hostile.tricks.manifests = (_, response) =>
    void response.writeHead(401, { 'www-authenticate': `Bearer realm="http://localhost:${victim.port}/"` }).end();
  assert.equal((await fetchRaw(manifestUrl.replace('v1', 'v2'))).status, 502);
  assert.equal(victim.visits(), 0);
  await assertUnharmed(stage);
});

test('redirects that go round, or on and on, end', async (t) => {
  const stage = await setStage(t, { giveUp: '1ms' });
  const { hostile, manifestUrl, layerUrl } = stage;
  await fetchRaw(manifestUrl);
  let hop = 0;
  for (const location of [() => '/v2/team/app/manifests/v2', () => `/v2/team/app/manifests/${'x'.repeat(++hop)}`]) {
    const before = hostile.seen.length;
    hostile.tricks.manifests = (request, response) => leadTo(location())(request, response);
    assert.equal((await fetchRaw(manifestUrl.replace('v1', 'v2'))).status, 502);
    assert.ok(hostile.seen.length - before <= 9, `${hostile.seen.length - before} requests`);
  }
  hostile.tricks.blobs = leadTo('');
  assert.equal((await fetchRaw(layerUrl)).status, 502);
  await assertUnharmed(stage);
});

const chunked = (status: string, ...headers: readonly string[]) =>
  [`HTTP/1.1 ${status}`, ...headers, 'Transfer-Encoding: chunked', '', ''].join('\r\n');
const chunk = (bytes: Buffer) =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
const zeros = chunk(Buffer.alloc(64 * 1024));
const spaces = chunk(Buffer.alloc(64 * 1024, ' '));
const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));

/** Tricks with a manifest: each is 502, and soon over. */
const manifestTricks: Readonly<Record<string, Trick>> = {
  'is without end, in chunks': endless(chunked('200 OK', 'Content-Type: application/json'), spaces),
  'is without end, and without a length': endless(
    'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n',
    Buffer.alloc(65536, ' '),
  ),
  'announces more than there can be': endless(
    `HTTP/1.1 200 OK\r\nContent-Length: ${10 ** 15}\r\n\r\n`,
    Buffer.alloc(65536, ' '),
  ),
  'announces less than it is': raw('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{"schemaVersion":2}'),
  'announces two lengths': raw('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} '),
  'announces a length and chunks': raw(
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
  ),
  'announces a negative length': raw('HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}'),
  'has a chunk of an absurd size': raw(`${chunked('200 OK')}ffffffffffffffffffff\r\n{}`),
  'has headers without end': endless('HTTP/1.1 200 OK\r\n', `X-${'a'.repeat(100)}: ${'b'.repeat(1000)}\r\n`),
  'has one header without end': endless('HTTP/1.1 200 OK\r\nX-Header: ', Buffer.alloc(65536, 'a')),
  'has trailers without end': endless(`${chunked('200 OK')}2\r\n{}\r\n0\r\n`, `X-Trailer: ${'b'.repeat(1000)}\r\n`),
  'has a header with a bare line break': raw(
    'HTTP/1.1 200 OK\r\nX-A: b\nX-Injected: c\rX-D: e\r\nContent-Length: 2\r\n\r\n{}',
  ),
  'has a header with a zero byte': raw('HTTP/1.1 200 OK\r\nContent-Type: a\0b\r\nContent-Length: 2\r\n\r\n{}'),
  'is compressed': (_, response) =>
    void response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': bomb.length }).end(bomb),
  'is nested without end': (_, response) => void response.writeHead(200).end('{"a":'.repeat(1_000_000)),
  'says that another protocol follows': raw(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
  ),
  'has a status that is none': raw('HTTP/1.1 99999 Odd\r\nContent-Length: 0\r\n\r\n'),
  'refuses, with a body without end': endless(chunked('500 Internal Server Error'), spaces),
  'leads elsewhere, with a body without end': endless(chunked('307 Elsewhere', 'Location: http://10.0.0.1/'), spaces),
};

for (const [what, trick] of Object.entries(manifestTricks)) {
  test(`a manifest that ${what} is a bad gateway, and does no harm`, async (t) => {
    const stage = await setStage(t);
    const { hostile, manifestUrl } = stage;
    hostile.tricks.manifests = trick;
    const before = process.memoryUsage().rss;
    const answer = await fetchRaw(manifestUrl);
    assert.ok(answer.status === 502 || answer.status === 504, `${answer.status}`);
    assert.equal(answer.headers['x-injected'], undefined);
    assert.ok(hostile.written() < 100e6, `${hostile.written()} bytes were taken`);
    assert.ok(process.memoryUsage().rss - before < 250e6);
    await assertUnharmed(stage);
  });
}

test('early hints without end are silence', async (t) => {
  const stage = await setStage(t);
  stage.hostile.tricks.manifests = ({ socket }) => {
    const timer = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'), 5);
    socket.on('close', () => clearInterval(timer));
  };
  assert.equal((await fetchRaw(stage.manifestUrl)).status, 504);
  await assertUnharmed(stage);
});

/** Tricks with a blob: no client gets what looks like the whole, nothing is kept, and the disk does not fill. */
const blobTricks: Readonly<Record<string, Trick>> = {
  'is without end, in chunks': endless(chunked('200 OK'), zeros),
  'is without end, and without a length': endless('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n', Buffer.alloc(65536)),
  'is a part without end': endless(chunked('206 Partial Content', 'Content-Range: bytes 0-65535/300000'), zeros),
  'announces more than it is': raw(`HTTP/1.1 200 OK\r\nContent-Length: ${10 ** 12}\r\n\r\n`, Buffer.alloc(1000)),
  'announces less than it is': raw('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n', Buffer.alloc(100_000)),
  'is a part of something larger': raw(
    'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-65535/999999999999\r\nContent-Length: 65536\r\n\r\n',
    Buffer.alloc(65536),
  ),
  'is a part without a place': raw(
    'HTTP/1.1 206 Partial Content\r\nContent-Length: 65536\r\n\r\n',
    Buffer.alloc(65536),
  ),
  'is a part of an unknown whole': raw(
    'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-65535/*\r\nContent-Length: 65536\r\n\r\n',
    Buffer.alloc(65536),
  ),
  'is a part at a place that is none': raw(
    'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 65535-0/300000\r\nContent-Length: 65536\r\n\r\n',
    Buffer.alloc(65536),
  ),
  'is a part at a negative place': raw(
    'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes -5-65530/300000\r\nContent-Length: 65536\r\n\r\n',
    Buffer.alloc(65536),
  ),
  'is several parts': raw(
    'HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\nContent-Length: 10\r\n\r\n--x\r\n\r\nabc',
  ),
  'is a page of HTML': (_, response) =>
    void response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Log in</h1>'),
  'is garbage of the right size': (_, response) =>
    void response.writeHead(200, { 'content-length': 300_000 }).end(Buffer.alloc(300_000, 7)),
  'is garbage in parts of the right size': ({ headers }, response) => {
    const [, first = 0, last = 0] = /(\d+)-(\d+)/.exec(headers.range ?? '')?.map(Number) ?? [];
    response
      .writeHead(206, { 'content-range': `bytes ${first}-${last}/300000` })
      .end(Buffer.alloc(last - first + 1, 7));
  },
  'is a bomb': (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
  'is a bomb in two layers': (_, response) =>
    void response.writeHead(200, { 'content-encoding': 'gzip, br' }).end(bomb),
  'is not there, with a body without end': endless(chunked('404 Not Found'), zeros),
  'wants a range that it named itself': (_, response) =>
    void response.writeHead(416, { 'content-range': 'bytes */0' }).end(),
  'is nothing': raw('HTTP/1.1 204 No Content\r\n\r\n'),
};

for (const [what, trick] of Object.entries(blobTricks)) {
  test(`a blob that ${what} is never taken for the whole, nor kept`, async (t) => {
    const stage = await setStage(t);
    const { hostile, manifestUrl, layerUrl, layer, mirror } = stage;
    assert.equal((await fetchRaw(manifestUrl)).status, 200);
    hostile.tricks.blobs = trick;
    const before = process.memoryUsage().rss;
    const answer = await fetchRaw(layerUrl);
    assert.ok(answer.status >= 400 || !answer.complete, `${answer.status}, ${answer.body.length} bytes`);
    assert.ok(answer.status >= 400 || answer.body.length < layer.length);
    assert.equal(answer.headers['content-encoding'], undefined);
    assert.notEqual(answer.headers['content-type'], 'text/html');
    assert.ok(hostile.seen.length < 50, `${hostile.seen.length} requests`);
    assert.ok(hostile.written() < 100e6, `${hostile.written()} bytes were taken`);
    assert.ok((await bytesOnDisk(mirror.dataDir)) < 5e6);
    assert.ok(process.memoryUsage().rss - before < 250e6);
    await assertUnharmed(stage);
  });
}

test('what comes with a part beyond its end is nobody’s', async (t) => {
  const stage = await setStage(t, { giveUp: '10s' }, { layers: [3_000_000] });
  const { hostile, manifestUrl, layerUrl, layer } = stage;
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  hostile.tricks.blobs = (_, response) => {
    hostile.tricks.blobs = undefined;
    response.writeHead(206, { 'content-range': 'bytes 0-65535/3000000' });
    response.write(layer.subarray(0, 65536), () => response.end(Buffer.alloc(500_000, 7)));
  };
  const answer = await fetchRaw(layerUrl);
  assert.ok(answer.complete && answer.body.equals(layer));
});

/** Tricks with a token. */
const tokenTricks: Readonly<Record<string, Trick>> = {
  'is without end': endless(chunked('200 OK'), spaces),
  'is refused without end': endless(chunked('401 Unauthorized'), spaces),
  'is compressed': (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
  'would break a header': (_, response) => void response.end('{"token":"a\\r\\nX-Injected: b"}'),
  'is no text': (_, response) => void response.end('{"token":{"toString":"a"}}'),
  'is longer than any header': (_, response) => void response.end(JSON.stringify({ token: 'a'.repeat(900_000) })),
  'is elsewhere': leadTo('http://10.0.0.1/token'),
};

for (const [what, trick] of Object.entries(tokenTricks)) {
  test(`a token that ${what} is none, and does no harm`, async (t) => {
    const stage = await setStage(t);
    const { hostile, manifestUrl } = stage;
    hostile.tricks.manifests = ({ headers: { authorization } }, response) => {
      assert.equal(authorization?.includes('X-Injected') ?? false, false);
      const realm = `${hostile.url}/token`;
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="a&scope=x"` }).end();
    };
    hostile.tricks.token = trick;
    const before = process.memoryUsage().rss;
    const answer = await fetchRaw(manifestUrl);
    assert.ok([404, 502, 504].includes(answer.status), `${answer.status}`);
    assert.equal(answer.headers['www-authenticate'], undefined);
    assert.ok(
      hostile.seen.filter((path) => path.startsWith('/token')).every((path) => path.includes('service=a%26scope%3Dx&')),
    );
    assert.ok(hostile.written() < 20e6, `${hostile.written()} bytes were taken`);
    assert.ok(process.memoryUsage().rss - before < 250e6);
    await assertUnharmed(stage);
  });
}

test('a token that comes byte by byte is not waited for for ever', async (t) => {
  const clock = new FakeClock();
  const stage = await setStage(t, {}, { clock });
  const { hostile, manifestUrl } = stage;
  let sent = 0;
  hostile.tricks.manifests = (_, response) =>
    void response.writeHead(401, { 'www-authenticate': `Bearer realm="${hostile.url}/token"` }).end();
  hostile.tricks.token = (_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(' ', () => sent++), 5);
    response.on('close', () => clearInterval(timer));
  };
  const answer = fetchRaw(manifestUrl);
  for (let second = 0; second < 7; second++) {
    const before = sent;
    await until(() => sent > before + 2 || second > 5);
    clock.advance(1000);
  }
  assert.equal((await answer).status, 504);
});

test('challenges without end, or as large as they can be, are read and forgotten', async (t) => {
  const stage = await setStage(t);
  const { hostile, mirror } = stage;
  const before = process.memoryUsage().rss;
  hostile.tricks.token = (_, response) => void response.end('{"token":"t"}');
  hostile.tricks.manifests = (_, response) => {
    const scope = `${hostile.seen.length}x`.repeat(3000).slice(0, 12_000);
    const line = `Bearer realm="${hostile.url}/token",service="s",scope="${scope}"`;
    response.writeHead(401, { 'www-authenticate': ['Digest '.repeat(500), line] }).end();
  };
  for (let i = 0; i < 100; i++) {
    assert.equal((await fetchRaw(`${mirror.url}/v2/team/app/manifests/t${i}`)).status, 404);
  }
  assert.ok(process.memoryUsage().rss - before < 250e6);
  await assertUnharmed(stage);
});

test('a Content-Type cannot make other bytes pass for the manifest that was asked for', async (t) => {
  const stage = await setStage(t);
  const { hostile, image, manifestUrl } = stage;
  const { bytes } = makeImage(10).manifest;
  const contentType = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
  hostile.tricks.manifests = (_, response) => void response.writeHead(200, { 'content-type': contentType }).end(bytes);
  const byDigest = manifestUrl.replace('v1', image.manifest.digest);
  assert.ok((await fetchRaw(byDigest)).status >= 400);
  await assertUnharmed(stage);
});

const contentTypes = [
  'text/html; charset=utf-8',
  `application/json; a=${'b'.repeat(8000)}`,
  'multipart/byteranges; boundary=x',
  'application/vnd.oci.image.index.v1+json',
  '"><script>alert(1)</script>',
  'caf\u00e9/\u00ff',
  ', ,;=',
];

test('a Content-Type that is another’s, or none, is not passed on', async (t) => {
  const stage = await setStage(t, {}, { layers: contentTypes.map(() => 1000) });
  const { hostile, image, mirror, manifestUrl } = stage;
  for (const [at, contentType] of contentTypes.entries()) {
    hostile.tricks.manifests = (_, response) =>
      void response.writeHead(200, { 'content-type': contentType }).end(image.manifest.bytes);
    const manifest = await fetchRaw(manifestUrl);
    assert.equal(manifest.status, 200, contentType);
    assert.equal(manifest.headers['content-type'], image.manifest.mediaType);
    const layer = image.layers[at] ?? Buffer.alloc(0);
    hostile.tricks.blobs = (_, response) => {
      const noise = { 'set-cookie': 'a=b', 'www-authenticate': 'Basic', 'content-type': contentType };
      response.writeHead(206, { ...noise, 'content-range': 'bytes 0-999/1000' }).end(layer);
    };
    const blob = await fetchRaw(`${mirror.url}/v2/team/app/blobs/${digestOf(layer)}`);
    assert.ok(blob.complete && blob.body.equals(layer));
    assert.equal(blob.headers['content-type'], 'application/octet-stream');
    assert.equal(blob.headers['set-cookie'] ?? blob.headers['www-authenticate'], undefined);
  }
  await assertUnharmed(stage);
});

const digests = ['sha256:../../../../etc/passwd', `sha256:${'A'.repeat(64)}`, `sha256:${'0'.repeat(64)}`, 'x', ''];

test('a digest that an upstream announces is believed only where its bytes have it', async (t) => {
  const stage = await setStage(t);
  const { hostile, image, manifestUrl } = stage;
  for (const announced of digests) {
    hostile.tricks.manifests = (_, response) =>
      void response.writeHead(200, { 'docker-content-digest': announced }).end(image.manifest.bytes);
    const answer = await fetchRaw(manifestUrl);
    const isTrue = (digest: unknown): digest is Digest => digest === image.manifest.digest;
    assert.ok(answer.status === 502 || isTrue(answer.headers['docker-content-digest']), announced);
    await assertUnharmed(stage);
  }
});
