import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { dockerManifest, ociIndex, ociManifest } from '../../src/oci/media-types.ts';
import { fetchRaw } from '../support/client.ts';
import { always, type Fault, stallAfter, status } from '../support/faults.ts';
import { makeImage, makeIndex, manifestOf } from '../support/images.ts';
import { setScene } from '../support/scene.ts';

const strike = { only: (path: string) => path.includes('/manifests/') };

test('a ping is answered without asking the upstream', async (t) => {
  const { mirror, upstream } = await setScene(t);
  for (const path of ['/v2/', '/v2', '/up.test/v2/']) {
    const answer = await fetchRaw(`${mirror.url}${path}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0');
    assert.equal(answer.body.toString(), '{}');
  }
  assert.equal(upstream.seen.length, 0);
});

test('a manifest comes byte for byte, with the headers that clients need', async (t) => {
  const { manifestUrl, image, mirror } = await setScene(t);
  const { digest, bytes } = image.manifest;
  const byTag = await fetchRaw(manifestUrl);
  assert.equal(byTag.status, 200);
  assert.deepEqual(byTag.body, bytes);
  assert.equal(byTag.headers['content-type'], ociManifest);
  assert.equal(byTag.headers['content-length'], String(bytes.length));
  assert.equal(byTag.headers['docker-content-digest'], digest);
  assert.equal(byTag.headers['etag'], `"${digest}"`);
  assert.equal(byTag.headers['cache-control'], 'no-cache');
  const byDigest = await fetchRaw(`${mirror.url}/v2/team/app/manifests/${digest}`);
  assert.deepEqual(byDigest.body, bytes);
  assert.equal(byDigest.headers['cache-control'], 'max-age=31536000, immutable');
});

test('a HEAD tells the true length, cold and warm, and has no body', async (t) => {
  const { manifestUrl, image } = await setScene(t);
  for (const temperature of ['cold', 'warm']) {
    const answer = await fetchRaw(manifestUrl, { method: 'HEAD' });
    assert.equal(answer.status, 200, temperature);
    assert.equal(answer.headers['content-length'], String(image.manifest.bytes.length));
    assert.equal(answer.headers['docker-content-digest'], image.manifest.digest);
    assert.equal(answer.body.length, 0);
  }
});

test('If-None-Match is answered with 304, with quotes or without', async (t) => {
  const { manifestUrl, image } = await setScene(t);
  for (const tag of [`"${image.manifest.digest}"`, image.manifest.digest]) {
    const answer = await fetchRaw(manifestUrl, { headers: { 'if-none-match': tag } });
    assert.equal(answer.status, 304);
    assert.equal(answer.headers['docker-content-digest'], image.manifest.digest);
    assert.equal(answer.body.length, 0);
  }
});

test('a manifest by digest is asked for once, whatever the number of clients', async (t) => {
  const { mirror, upstream, image } = await setScene(t);
  const url = `${mirror.url}/v2/team/app/manifests/${image.manifest.digest}`;
  const answers = await Promise.all(Array.from({ length: 20 }, () => fetchRaw(url)));
  assert.ok(answers.every(({ status }) => status === 200));
  await fetchRaw(url);
  assert.equal(upstream.seen.length, 1);
});

test('a manifest by digest is asked for once more where the upstream fails: nobody else is asked for it', async (t) => {
  const passing = [status(503, strike), status(500, strike), stallAfter(0, 60_000, strike)];
  for (const fault of passing) {
    const { mirror, upstream, image } = await setScene(t, { layers: [10], upstream: { stallTimeout: '1s' } });
    upstream.faults.push(fault);
    const answer = await fetchRaw(`${mirror.url}/v2/team/app/manifests/${image.manifest.digest}`);
    assert.deepEqual([answer.status, answer.body], [200, image.manifest.bytes], fault.kind);
    assert.equal(upstream.seen.length, 2);
  }
});

test('a manifest is asked for once only where more would change nothing, or the client can turn elsewhere', async (t) => {
  const { mirror, upstream, image } = await setScene(t, { layers: [10] });
  const ask = async (reference: string, fault: Fault) => {
    upstream.faults.splice(0, upstream.faults.length, fault);
    const before = upstream.seen.length;
    assert.notEqual((await fetchRaw(`${mirror.url}/v2/team/app/manifests/${reference}`)).status, 200);
    return upstream.seen.length - before;
  };
  const { digest } = image.manifest;
  assert.equal(await ask('v1', status(503, strike)), 1, 'by tag: the client turns to the next mirror at once');
  assert.equal(await ask(digest, status(403, strike)), 1);
  const other = digestOf(Buffer.from('other'));
  assert.equal(await ask(other, status(429, { ...strike, retryAfter: '1' })), 1);
});

test('a manifest is asked for twice at most', async (t) => {
  const { mirror, upstream, image } = await setScene(t, { layers: [10] });
  upstream.faults.push(status(503, { ...strike, times: always }));
  const answer = await fetchRaw(`${mirror.url}/v2/team/app/manifests/${image.manifest.digest}`);
  assert.deepEqual([answer.status, upstream.seen.length], [502, 2]);
});

test('the upstream is asked for every type of manifest, whatever the client accepts', async (t) => {
  const { manifestUrl, upstream } = await setScene(t);
  await fetchRaw(manifestUrl, { headers: { accept: 'application/json' } });
  const accept = upstream.seen[0]?.headers.accept ?? '';
  assert.ok([ociIndex, ociManifest, dockerManifest].every((type) => accept.includes(type)));
  assert.equal(upstream.seen[0]?.headers['accept-encoding'], 'identity');
});

test('an index, and a manifest behind it', async (t) => {
  const { mirror, upstream } = await setScene(t);
  const images = [makeImage(100), makeImage(200)] as const;
  const index = makeIndex(...images);
  for (const image of images) upstream.push('team/multi', image.manifest.digest, image);
  upstream.putManifest('team/multi', index, 'latest');
  const answer = await fetchRaw(`${mirror.url}/v2/team/multi/manifests/latest`);
  assert.equal(answer.headers['content-type'], ociIndex);
  assert.deepEqual(answer.body, index.bytes);
  const child = await fetchRaw(`${mirror.url}/v2/team/multi/manifests/${images[1].manifest.digest}`);
  assert.deepEqual(child.body, images[1].manifest.bytes);
});

test('a generic content type, or one with a charset, is repaired from the content', async (t) => {
  const { mirror, upstream } = await setScene(t);
  const plain = {
    schemaVersion: 2,
    config: { mediaType: 'x', digest: digestOf(Buffer.from('c')), size: 1 },
    layers: [],
  };
  const types = { none: 'text/plain', charset: `${ociManifest}; charset=utf-8`, json: 'application/json' };
  for (const [tag, type] of Object.entries(types)) {
    upstream.putManifest('team/odd', manifestOf({ ...plain, tag }, type), tag);
    const answer = await fetchRaw(`${mirror.url}/v2/team/odd/manifests/${tag}`);
    assert.equal(answer.headers['content-type'], ociManifest);
  }
});

test('an unknown manifest is MANIFEST_UNKNOWN; a signature that is not there too', async (t) => {
  const { mirror } = await setScene(t);
  const missing = ['nope', `sha256-${'a'.repeat(64)}.sig`, `sha256:${'a'.repeat(64)}`];
  for (const reference of missing) {
    const answer = await fetchRaw(`${mirror.url}/v2/team/app/manifests/${reference}`);
    assert.equal(answer.status, 404);
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'MANIFEST_UNKNOWN');
  }
});

test('schema 1 manifests are refused, and not kept under their tag', async (t) => {
  const { mirror, upstream } = await setScene(t);
  const schema1 = manifestOf(
    { schemaVersion: 1, name: 'x', tag: 'y' },
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
  );
  upstream.putManifest('team/old', schema1, 'v1');
  const answer = await fetchRaw(`${mirror.url}/v2/team/old/manifests/v1`);
  assert.equal(answer.status, 404);
  upstream.push('team/old', 'v1', makeImage(1));
  assert.equal((await fetchRaw(`${mirror.url}/v2/team/old/manifests/v1`)).status, 200);
});

test('a manifest whose bytes do not match the digest that was asked for is refused, and not kept', async (t) => {
  const { mirror, upstream } = await setScene(t);
  const right = makeImage(1).manifest;
  const wrong = { ...right, bytes: Buffer.from(right.bytes.toString().replace('schemaVersion', 'schemaversion')) };
  upstream.putManifest('team/evil', wrong, 'v1');
  for (const reference of [right.digest, 'v1']) {
    const answer = await fetchRaw(`${mirror.url}/v2/team/evil/manifests/${reference}`);
    assert.equal(answer.status, 502, reference);
  }
  upstream.putManifest('team/evil', right, 'v1');
  assert.equal((await fetchRaw(`${mirror.url}/v2/team/evil/manifests/v1`)).status, 200);
});

test('the namespace that a client asked with is named in the answer', async (t) => {
  const { manifestUrl } = await setScene(t);
  const answer = await fetchRaw(`${manifestUrl}?ns=up.test`);
  assert.equal(answer.headers['oci-namespace'], 'up.test');
  assert.equal((await fetchRaw(manifestUrl)).headers['oci-namespace'], undefined);
});
