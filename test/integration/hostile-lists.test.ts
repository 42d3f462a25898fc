import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ociIndex } from '../../src/oci/media-types.ts';
import { type ClientAnswer, fetchRaw } from '../support/client.ts';
import { endless, type Hostile, leadTo, raw, startHostile, startVictim, type Trick } from '../support/hostile.ts';
import { type FixtureImage, makeImage } from '../support/images.ts';
import { startMirror, type TestMirror, upstreamConfig } from '../support/mirror.ts';

interface Stage {
  readonly hostile: Hostile;
  readonly mirror: TestMirror;
  readonly image: FixtureImage;
  /** Where the lists are, by what they are of. */
  readonly lists: Readonly<Record<'tags' | 'referrers', string>>;
}

/** A mirror before a registry that is bad where it is asked for lists. It gives up soon. */
async function setStage(t: TestContext): Promise<Stage> {
  const image = makeImage(1000);
  const hostile = await startHostile(t, image);
  const config = upstreamConfig(hostile.url, { giveUp: '200ms', tagTtl: '0ms', negativeTtl: '0ms' });
  const mirror = await startMirror(t, { config });
  const at = `${mirror.url}/v2/team/app`;
  assert.equal((await fetchRaw(`${at}/manifests/v1`)).status, 200);
  const lists = { tags: `${at}/tags/list`, referrers: `${at}/referrers/${image.manifest.digest}` };
  return { hostile, mirror, image, lists };
}

/** It is an error that clients understand, or a list that they can read; and no header is of the upstream's making. */
function assertClean({ status, headers, body, complete }: ClientAnswer, what: string): void {
  assert.equal(complete, true, what);
  const json = JSON.parse(body.toString());
  if (status === 200) assert.ok(Array.isArray(json.tags ?? json.manifests), what);
  else
    assert.deepEqual([[502, 504].includes(status), typeof json.errors[0].code], [true, 'string'], `${what} ${status}`);
  for (const name of ['set-cookie', 'www-authenticate', 'location', 'content-encoding', 'x-injected'])
    assert.equal(headers[name], undefined, `${what}: ${name}`);
  assert.ok(String(headers['link'] ?? '').length < 4096, what);
}

/** What was done to the mirror has left no trace. */
async function assertUnharmed({ hostile, mirror, image, lists }: Stage): Promise<void> {
  hostile.tricks.lists = (_, response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end('{"tags":["v1"]}');
  const { status, body } = await fetchRaw(lists.tags);
  assert.deepEqual([status, JSON.parse(body.toString()).tags], [200, ['v1']]);
  assert.ok((await fetchRaw(`${mirror.url}/v2/team/app/manifests/v1`)).body.equals(image.manifest.bytes));
}

const ok = `HTTP/1.1 200 OK\r\nContent-Type: ${ociIndex}\r\n`;
const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`;
const spaces = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536, ' '), Buffer.from('\r\n')]);
const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '));
const send =
  (body: string | Buffer, headers: Readonly<Record<string, string>> = {}): Trick =>
  (_, response) =>
    void response.writeHead(200, { 'content-type': ociIndex, ...headers }).end(body);
const many = (key: string, one: string, count: number) => `{"${key}":[${`${one},`.repeat(count - 1)}${one}]}`;
const descriptor = JSON.stringify({ mediaType: ociIndex, digest: `sha256:${'a'.repeat(64)}`, size: 2 });

const tricks: Readonly<Record<string, Trick>> = {
  'is without end, in chunks': endless(chunked, spaces),
  'is without end, and without a length': endless(`${ok}Connection: close\r\n\r\n`, Buffer.alloc(65_536, ' ')),
  'announces more than there can be': endless(`${ok}Content-Length: ${10 ** 15}\r\n\r\n`, Buffer.alloc(65_536, ' ')),
  'announces less than it is': raw(`${ok}Content-Length: 4\r\n\r\n{"tags":["v1"]}`),
  'has headers without end': endless('HTTP/1.1 200 OK\r\n', `X-${'a'.repeat(100)}: ${'b'.repeat(1000)}\r\n`),
  'has trailers without end': endless(`${chunked}2\r\n{}\r\n0\r\n`, `X-Trailer: ${'b'.repeat(1000)}\r\n`),
  'is compressed': send(bomb, { 'content-encoding': 'gzip' }),
  'is compressed twice': send(bomb, { 'content-encoding': 'gzip, br' }),
  'is nested without end': send('{"tags":'.repeat(500_000)),
  'is nested deeply, and ends': send(`{"manifests":${'['.repeat(500_000)}${']'.repeat(500_000)}}`),
  'has descriptors without end': endless(`${ok}\r\n{"manifests":[`, `${descriptor},`.repeat(1000)),
  'has a hundred thousand descriptors': send(many('manifests', descriptor, 100_000)),
  'has thirty thousand descriptors': send(many('manifests', descriptor, 30_000)),
  'has a million empty objects': send(many('manifests', '{}', 1_000_000)),
  'has a million tags': send(many('tags', '"v1"', 1_000_000)),
  'has a million nothings': send(many('tags', 'null', 1_000_000)),
  'is refused without end': endless('HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n', spaces),
  'leads to itself': leadTo(''),
  'has a link of 100 kB': send('{"tags":[]}', { link: `</x?last=${'a'.repeat(100_000)}>; rel="next"` }),
  'has headers for the client': send('{"tags":[]}', {
    'set-cookie': 'a=b',
    'x-injected': 'c',
    'www-authenticate': 'Basic',
  }),
};

for (const [what, trick] of Object.entries(tricks)) {
  test(`a list that ${what} is a bad gateway or a clean list, and does no harm`, async (t) => {
    const stage = await setStage(t);
    stage.hostile.tricks.lists = trick;
    const before = process.memoryUsage().rss;
    for (const [kind, url] of Object.entries(stage.lists)) {
      assertClean(await fetchRaw(url), kind);
      assert.ok(process.memoryUsage().rss - before < 250e6, `${kind}: ${process.memoryUsage().rss - before}`);
    }
    assert.ok(stage.hostile.seen.length < 50, `${stage.hostile.seen.length} requests`);
    assert.ok(stage.hostile.written() < 100e6, `${stage.hostile.written()} bytes were taken`);
    await assertUnharmed(stage);
  });
}

const privatePlaces = (port: number) => [
  `http://127.0.0.1:${port}/`,
  `http://2130706433:${port}/`,
  `http://[::1]:${port}/`,
  `http://localhost:${port}/`,
  `//127.0.0.1:${port}/`,
  'http://169.254.169.254/latest/meta-data/',
  'http://10.0.0.1/',
  'file:///etc/passwd',
  'data:text/plain,s3cret',
];

test('a list leads to no private address, by a redirect or by the link to its next page', async (t) => {
  const victim = await startVictim(t);
  const stage = await setStage(t);
  const { hostile, mirror, lists } = stage;
  const places = privatePlaces(victim.port).flatMap((place) => [
    [place, lists.tags] as const,
    [place, lists.referrers] as const,
  ]);
  for (const [place, url] of places) {
    hostile.tricks.lists = leadTo(place);
    const { status, body, headers } = await fetchRaw(url);
    assert.ok(status === 502 || status === 503, `${url} by ${place}: ${status}`);
    assert.ok(!`${body}${JSON.stringify(headers)}`.includes('s3cret'));
  }
  for (const [place, url] of places) {
    hostile.tricks.lists = send('{"tags":["v1"]}', { link: `<${place}?last=v1>; rel="next"` });
    const first = await fetchRaw(url);
    const [, next = ''] = /^<(.*)>; rel="next"$/.exec(String(first.headers['link'])) ?? [];
    assert.equal(next, `${new URL(url).pathname}?last=v1`, place);
    assert.equal((await fetchRaw(`${mirror.url}${next}`)).status, 200);
    assert.equal(hostile.seen.at(-1), next);
  }
  assert.equal(victim.visits(), 0);
  assert.doesNotMatch(JSON.stringify(mirror.log), /meta-data|\/etc\/passwd/);
  await assertUnharmed(stage);
});
