import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import {
  always,
  endEarly,
  ignoreRange,
  noFraming,
  redirectTo,
  resetAfter,
  stallAfter,
  status,
  wrongLength,
  wrongRange,
} from '../support/faults.ts';
import { rangesOf } from '../support/multipart.ts';
import { FakeRegistry } from '../support/registry.ts';
import { setScene } from '../support/scene.ts';

/** What can go wrong at an upstream, and what clients do: where each is tested. Silences have files of their own. `…` is any text. */
const rows: Readonly<Record<string, readonly [file: string, ...titles: string[]]>> = {
  '1: challenges of every form': ['auth', 'a challenge with … is answered'],
  '2: tokens without a life, or with a short one': [
    'credentials',
    'a token is used for most of its life, and one without a life for a minute',
  ],
  '3: a token that is good, and refused': ['auth', 'a fresh token that is refused is the last word'],
  '4: a redirect whose target takes no login and no HEAD': [
    'auth',
    'a redirect is followed without our authorization',
    'registries',
    'images of … are pulled, each with few questions',
  ],
  '5: a redirect target that has expired': ['auth', 'a signed URL that … is asked for again at the registry'],
  '6: a cut': [
    'downloads',
    'a connection that is cut is taken up where it stopped',
    'repair',
    'an upstream without Range that … is read again',
    'a body in chunks, sent …, that … cuts in its middle comes whole',
  ],
  '7: a resume that is answered wrongly': ['wire', 'a resume that is answered … does not show'],
  '8: a short end that looks like the end': [
    'wire',
    'a body of unknown length that ends short is cut, and not kept',
    'integrity',
    'an answer without a length that ends short is not taken for the whole',
  ],
  '9: wrong bytes': ['integrity', 'a corrupt blob never looks complete'],
  '12: silence before the headers': ['tags', 'an upstream that is silent is a timeout for all who wait, within 8 s'],
  '13: 429': ['wire', 'a limit that is told … is 503 for clients, and a tag that is known is served stale'],
  '14: headers of a manifest': [
    'wire',
    'a manifest whose digest is not announced has one all the same',
    'manifests',
    'a generic content type, or one with a charset, is repaired from the content',
  ],
  '15: schema 1': ['manifests', 'schema 1 manifests are refused, and not kept under their tag'],
  '16: referrers': [
    'referrers',
    'referrers are listed where the upstream has them by …',
    'what nothing refers to has an empty list',
    'an upstream that answers … is an error, not an empty list',
    'an index that cannot be read, or a tag that fails, is an error too',
  ],
  '17: links': ['lists', 'pages of … are followed at the mirror'],
  '18: compression': ['integrity', 'compressed, mislabelled and wrongly sized answers are not passed on'],
  '20: a client that leaves': ['downloads', 'clients that leave disturb nobody'],
  '21: many clients': ['downloads', 'one download, however many ask'],
  '22: an open-ended range during the download': ['wire', 'a resume during the download is answered at once'],
  '23: 1,024 ranges': ['wire', '2,048 ranges are more than 20 kB', 'multirange', '…one part for each, in order'],
  '24: a bad range among several': ['multirange', 'several ranges with a bad one are a bad request'],
  '25: open-ended ranges that are closed early': ['wire', 'connections that read a piece each and leave'],
  '26: HEAD': [
    'wire',
    'a HEAD tells the true length, and asks no redirect target',
    'manifests',
    'a HEAD tells the true length, cold and warm, and has no body',
  ],
  '27: TLS on the plain port': ['bad-input', 'a TLS handshake on the plain port is refused at once'],
  '28: writing': ['bad-input', 'everything that writes is 405'],
  '29: a client that stops reading': [
    'downloads',
    'a client that stops reading holds up nobody',
    'hostile-client',
    'clients that never read hold what they were given, and no more',
  ],
  '30: a signature that is not there': ['manifests', 'an unknown manifest is MANIFEST_UNKNOWN; a signature'],
  '31: an upstream that is not configured': ['routing', '… is refused, and nobody is asked'],
};

function titled(title: string): RegExp {
  const text = title.split('…').map((each) => each.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`test\\([\`']${text.join('[^\\n]*')}`);
}

for (const [row, places] of Object.entries(rows)) {
  test(`row ${row}: there is a test`, () => {
    let source = '';
    for (const place of places) {
      if (/^[a-z-]+$/.test(place)) source = readFileSync(join(import.meta.dirname, `${place}.test.ts`), 'utf8');
      else assert.ok(titled(place).test(source), place);
    }
  });
}

const wrongResumes = {
  'with the whole': ignoreRange,
  'with another range': wrongRange,
  'with another size': (strike: object) => wrongLength(5, strike),
};

for (const [how, fault] of Object.entries(wrongResumes)) {
  test(`a resume that is answered ${how} does not show`, async (t) => {
    const { manifestUrl, layerUrl, layer, upstream } = await setScene(t);
    await fetchRaw(manifestUrl);
    const cut = resetAfter(1_500_000);
    upstream.faults.push(cut, fault({ times: 1, only: () => cut.times === 0 }));
    const answer = await fetchRaw(layerUrl);
    assert.deepEqual([answer.status, answer.complete, answer.body.equals(layer)], [200, true, true]);
    assert.ok(upstream.faults.every(({ times }) => times === 0));
  });
}

test('a body of unknown length that ends short is cut, and not kept', async (t) => {
  const { layerUrl, layer, upstream } = await setScene(t);
  upstream.faults.push(noFraming(), ignoreRange(), endEarly(1_000_000, { times: always }));
  const short = await fetchRaw(layerUrl);
  assert.deepEqual([short.status, short.ending], [200, 'FIN']);
  assert.ok(short.body.length < 1_000_000);
  upstream.faults.length = 0;
  const { complete, body } = await fetchRaw(layerUrl);
  assert.ok(complete && body.equals(layer));
});

const limits: Readonly<Record<string, { body: string; retryAfter?: string; seconds: string }>> = {
  'as a quota': {
    body: '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}',
    seconds: '60',
  },
  'as abuse': { body: 'Too Many Requests (HAP429)', retryAfter: '60', seconds: '60' },
  'with a Unix time': { body: '', retryAfter: String(Date.UTC(2026, 0, 1) / 1000 + 90), seconds: '90' },
  'for ever': { body: '', retryAfter: '99999999', seconds: '3600' },
};

for (const [how, { body, retryAfter, seconds }] of Object.entries(limits)) {
  test(`a limit that is told ${how} is 503 for clients, and a tag that is known is served stale`, async (t) => {
    const clock = new FakeClock();
    const { manifestUrl, image, upstream } = await setScene(t, { mirror: { clock } });
    await fetchRaw(manifestUrl);
    clock.advance(6 * 60_000);
    clock.step(Date.UTC(2026, 0, 1) - clock.wall());
    const strike = { times: always, only: (path: string) => path.includes('/manifests/') };
    upstream.faults.push(status(429, { ...strike, body, ...(retryAfter === undefined ? {} : { retryAfter }) }));
    const cold = await fetchRaw(manifestUrl.replace('v1', 'v2'));
    assert.deepEqual([cold.status, cold.headers['retry-after']], [503, seconds]);
    assert.equal(JSON.parse(cold.body.toString()).errors[0].code, 'UNAVAILABLE');
    clock.advance(6 * 60_000);
    const stale = await fetchRaw(manifestUrl);
    assert.deepEqual([stale.status, stale.body], [200, image.manifest.bytes]);
    assert.match(String(stale.headers['warning']), /^299 - "[^"]*"$/);
  });
}

test('a manifest whose digest is not announced has one all the same', async (t) => {
  const clock = new FakeClock();
  const { manifestUrl, image, upstream } = await setScene(t, { mirror: { clock } });
  upstream.announcesDigests = false;
  for (const url of [manifestUrl, manifestUrl.replace('v1', image.manifest.digest)]) {
    const answer = await fetchRaw(url);
    assert.deepEqual([answer.status, answer.headers['docker-content-digest']], [200, image.manifest.digest]);
    clock.advance(6 * 60_000);
    assert.deepEqual((await fetchRaw(url)).body, image.manifest.bytes);
  }
});

test('a resume during the download is answered at once, behind what is there and before', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, {
    layers: [8_000_000],
    upstream: { stallTimeout: '60s' },
  });
  await fetchRaw(manifestUrl);
  // The rest of the download would take longer than the test may.
  upstream.faults.push(stallAfter(2_000_000, 600_000));
  const resume = async (start: number) => {
    const onBytes = (received: number) => (received >= 10_000 ? false : undefined);
    const answer = await fetchRaw(layerUrl, { headers: { range: `bytes=${start}-` }, onBytes });
    assert.equal(answer.headers['content-range'], `bytes ${start}-7999999/8000000`);
    assert.equal(answer.status, 206);
    assert.ok(answer.body.equals(layer.subarray(start, start + answer.body.length)));
    assert.ok(answer.body.length >= 10_000);
  };
  let resumed: Promise<unknown> | undefined;
  const onBytes = (received: number) => {
    if (received > 1_000_000) resumed ??= Promise.all([resume(500_000), resume(7_980_000)]);
    return received > 1_500_000 ? false : undefined;
  };
  const first = await fetchRaw(layerUrl, { onBytes });
  assert.ok(first.body.equals(layer.subarray(0, first.body.length)));
  assert.ok(resumed);
  await resumed;
});

test('2,048 ranges are more than 20 kB of header', () => {
  const { range } = rangesOf(Array.from({ length: 2048 }, (_, index) => [index * 1900, index * 1900 + 1]));
  assert.ok(range.length > 20_000 && range.length < 64 * 1024, `${range.length} bytes`);
});

test('connections that read a piece each and leave disturb no download, and are no errors', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream, mirror } = await setScene(t, { layers: [16_000_000] });
  await fetchRaw(manifestUrl);
  const piece = 1_000_000;
  const pieces = Array.from({ length: 8 }, async (_, index) => {
    const start = index * 2 * piece;
    const onBytes = (received: number) => (received >= piece ? false : undefined);
    const answer = await fetchRaw(layerUrl, { headers: { range: `bytes=${start}-` }, onBytes });
    assert.equal(answer.status, 206);
    assert.ok(answer.body.subarray(0, piece).equals(layer.subarray(start, start + piece)));
  });
  await Promise.all(pieces);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.equal(upstream.blobBytes, layer.length);
  assert.deepEqual(
    mirror.log.filter(({ level, fields }) => level === 'warn' || level === 'error' || fields['error'] !== undefined),
    [],
  );
});

test('a HEAD tells the true length, and asks no redirect target by HEAD', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream, mirror } = await setScene(t, { upstream: { privateNetwork: true } });
  const target = await FakeRegistry.start();
  t.after(() => target.close());
  const unnamed = Buffer.from('a blob that no manifest names');
  for (const bytes of [layer, unnamed]) target.putBlob('team/app', bytes);
  upstream.putBlob('team/app', unnamed);
  upstream.faults.push(redirectTo(target.url));
  const unnamedUrl = `${mirror.url}/v2/team/app/blobs/${digestOf(unnamed)}`;
  await fetchRaw(manifestUrl);
  for (const _ of ['cold', 'warm']) {
    for (const [url, bytes] of [
      [layerUrl, layer],
      [unnamedUrl, unnamed],
    ] as const) {
      const head = await fetchRaw(url, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, String(bytes.length), 0]);
    }
    for (const url of [layerUrl, unnamedUrl]) assert.equal((await fetchRaw(url)).status, 200);
  }
  assert.ok([...target.seen, ...upstream.blobRequests].every(({ method }) => method === 'GET'));
});
