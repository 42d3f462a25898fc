import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeReferrer } from '../support/artifacts.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, redirectTo, status } from '../support/faults.ts';
import { FakeRegistry } from '../support/registry.ts';
import { type Scene, setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';

const tokens = (upstream: FakeRegistry) => upstream.seen.filter(({ path }) => path.startsWith('/token'));

test('an anonymous token is fetched once, and used for all that follows', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { upstream: { privateNetwork: true } });
  upstream.requireTokens();
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.equal(tokens(upstream).length, 1);
  assert.equal(tokens(upstream)[0]?.path, '/token?service=fake&scope=repository%3Ateam%2Fapp%3Apull');
  assert.equal(tokens(upstream)[0]?.authorization, undefined);
});

const challenges: Readonly<Record<string, (realm: string) => readonly string[]>> = {
  'commas and spaces in a quoted scope': (realm) => [
    `Bearer realm="${realm}",service="fake",scope="repository:team/app:pull,push repository:x:pull"`,
  ],
  'two lines, the better one last': (realm) => ['Basic realm="fake"', `Bearer realm="${realm}",service="fake"`],
  'two challenges in one line, in lower case': (realm) => [
    `basic realm="fake", bearer REALM="${realm}" , service="fake"`,
  ],
  'an empty error before the realm': (realm) => [`Bearer error="",realm="${realm}"`],
};

for (const [name, challenge] of Object.entries(challenges)) {
  test(`a challenge with ${name} is answered`, async (t) => {
    const { manifestUrl, upstream } = await setScene(t, { upstream: { privateNetwork: true } });
    upstream.requireTokens({ challenge });
    assert.equal((await fetchRaw(manifestUrl)).status, 200);
    assert.equal(tokens(upstream).length, 1);
  });
}

test('the scope is the challenge’s where it has one, else the repository’s', async (t) => {
  const { manifestUrl, upstream } = await setScene(t, { upstream: { privateNetwork: true } });
  upstream.requireTokens({ challenge: (realm) => [`Bearer realm="${realm}",service="fake",scope="aws"`] });
  await fetchRaw(manifestUrl);
  assert.match(tokens(upstream)[0]?.path ?? '', /scope=aws$/);
});

test('a token that has been revoked is replaced once', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { upstream: { privateNetwork: true } });
  upstream.requireTokens();
  await fetchRaw(manifestUrl);
  upstream.revokeTokens();
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.equal(tokens(upstream).length, 2);
});

test('a fresh token that is refused is the last word: 404, and no challenge for the client', async (t) => {
  const { manifestUrl, upstream } = await setScene(t, { upstream: { privateNetwork: true } });
  upstream.requireTokens();
  upstream.faults.push(status(401, { times: always, only: (path) => path.includes('/manifests/') }));
  const answer = await fetchRaw(manifestUrl);
  assert.equal(answer.status, 404);
  assert.equal(answer.headers['www-authenticate'], undefined);
  assert.ok(upstream.seen.length <= 5, `${upstream.seen.length} requests`);
});

test('a token service that gives no anonymous tokens means 404', async (t) => {
  const { manifestUrl, upstream } = await setScene(t, { upstream: { privateNetwork: true } });
  upstream.requireTokens({ admits: (authorization) => authorization !== undefined });
  assert.equal((await fetchRaw(manifestUrl)).status, 404);
});

test('a token service that is not there any more is forgotten, and the registry asked for another', async (t) => {
  const clock = new FakeClock();
  const { manifestUrl, upstream, image } = await setScene(t, { upstream: { privateNetwork: true }, mirror: { clock } });
  const old = await FakeRegistry.start();
  old.requireTokens({ reply: () => ({ token: 'old' }) });
  upstream.requireTokens({ challenge: () => [`Bearer realm="${old.url}/token",service="fake"`] });
  upstream.acceptToken('old');
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  await old.close();
  upstream.revokeTokens();
  upstream.requireTokens();
  upstream.push('team/app', 'v2', image);
  clock.advance(3600_000);
  assert.equal((await fetchRaw(manifestUrl.replace('v1', 'v2'))).status, 503);
  assert.equal((await fetchRaw(manifestUrl.replace('v1', 'v2'))).status, 200);
});

test('many clients share one token request', async (t) => {
  const { manifestUrl, blobUrl, image, upstream } = await setScene(t, {
    layers: [10, 20, 30],
    upstream: { privateNetwork: true },
  });
  upstream.requireTokens();
  await Promise.all([fetchRaw(manifestUrl), ...[...image.blobs.keys()].map((digest) => fetchRaw(blobUrl(digest)))]);
  assert.equal(tokens(upstream).length, 1);
});

test('a token realm at a private address is not asked, unless the configuration says so', async (t) => {
  const realm = await FakeRegistry.start();
  t.after(() => realm.close());
  const { manifestUrl, upstream } = await setScene(t);
  upstream.requireTokens({ challenge: () => [`Bearer realm="${realm.url}/token",service="fake"`] });
  const answer = await fetchRaw(manifestUrl);
  assert.equal(answer.status, 502);
  assert.equal(realm.seen.length, 0);
});

test('a login is read from its file at each use, and sent as Basic only after a challenge', async (t) => {
  const passwordFile = join(tempDir(), 'password');
  await writeFile(passwordFile, 's3cret-1\n');
  const { manifestUrl, blobUrl, image, upstream, mirror } = await setScene(t, {
    upstream: { credentials: { username: 'u', passwordFile }, tagTtl: '0ms' },
  });
  upstream.requireBasic('u', 's3cret-1');
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.deepEqual(
    upstream.seen.map(({ authorization }) => authorization !== undefined),
    [false, true],
  );
  upstream.requireBasic('u', 's3cret-2');
  await writeFile(passwordFile, 's3cret-2\n');
  for (const [digest, bytes] of image.blobs) assert.ok((await fetchRaw(blobUrl(digest))).body.equals(bytes));
  upstream.requireBasic('u', 's3cret-3');
  assert.equal((await fetchRaw(manifestUrl)).headers['warning']?.toString().startsWith('299 - '), true);
  const logged = JSON.stringify(mirror.log);
  assert.ok(!/s3cret|Basic /.test(logged));
});

test('our own login being refused is a failure of ours, not an absence', async (t) => {
  const passwordFile = join(tempDir(), 'password');
  await writeFile(passwordFile, 'wrong');
  const { manifestUrl, upstream } = await setScene(t, { upstream: { credentials: { username: 'u', passwordFile } } });
  upstream.requireBasic('u', 'right');
  assert.equal((await fetchRaw(manifestUrl)).status, 502);
  await rm(passwordFile);
  assert.equal((await fetchRaw(manifestUrl)).status, 502);
});

test('a redirect is followed without our authorization, by GET only, and its target is used again', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { upstream: { privateNetwork: true } });
  const cdn = await FakeRegistry.start();
  t.after(() => cdn.close());
  cdn.putBlob('team/app', layer);
  upstream.requireTokens();
  upstream.faults.push(redirectTo(cdn.url, { only: (path) => path.includes('/blobs/') }));
  await fetchRaw(manifestUrl);
  assert.equal((await fetchRaw(layerUrl, { method: 'HEAD' })).status, 200);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.ok(cdn.seen.length > 1);
  assert.ok(cdn.seen.every(({ method, authorization }) => method === 'GET' && authorization === undefined));
  assert.equal(upstream.blobRequests.length, 1);
});

for (const [when, before] of [
  ['has expired', 1],
  ['is refused from the first', 0],
] as const) {
  test(`a signed URL that ${when} is asked for again at the registry`, async (t) => {
    const { manifestUrl, layerUrl, layer, upstream } = await setScene(t, { upstream: { privateNetwork: true } });
    const cdn = await FakeRegistry.start();
    t.after(() => cdn.close());
    cdn.putBlob('team/app', layer);
    upstream.faults.push(redirectTo(cdn.url));
    await fetchRaw(manifestUrl);
    let requests = 0;
    cdn.faults.push(status(403, { times: 1, only: () => ++requests > before }));
    assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
    assert.ok(upstream.blobRequests.length >= 2);
  });
}

test('a redirect to a private address is not followed, unless the configuration says so', async (t) => {
  const { manifestUrl, layerUrl, layer, upstream, mirror } = await setScene(t);
  const cdn = await FakeRegistry.start();
  t.after(() => cdn.close());
  cdn.putBlob('team/app', layer);
  upstream.faults.push(redirectTo(cdn.url));
  await fetchRaw(manifestUrl);
  assert.equal((await fetchRaw(layerUrl)).status, 502);
  assert.equal(cdn.seen.length, 0);
  assert.ok(!JSON.stringify(mirror.log).includes('s3cret'));
});

/** A registry that wants tokens, and another one that has the same. */
async function setTwoScene(t: TestContext): Promise<Scene & { readonly other: FakeRegistry }> {
  const scene = await setScene(t, { upstream: { privateNetwork: true } });
  const other = await FakeRegistry.start();
  t.after(() => other.close());
  other.push('team/app', 'v1', scene.image);
  scene.upstream.requireTokens();
  return { ...scene, other };
}

for (const code of [301, 302, 303, 307, 308]) {
  test(`a redirect by ${code} is followed for manifests and blobs, without our authorization`, async (t) => {
    const { upstream, other, image, manifestUrl, layerUrl, layer } = await setTwoScene(t);
    upstream.faults.push(redirectTo(other.url, { status: code, only: (path) => path.startsWith('/v2/') }));
    const manifest = await fetchRaw(manifestUrl);
    assert.deepEqual([manifest.status, manifest.body], [200, image.manifest.bytes]);
    const blob = await fetchRaw(layerUrl);
    assert.ok(blob.status === 200 && blob.complete && blob.body.equals(layer));
    assert.ok(other.seen.length >= 2);
    assert.ok(other.seen.every(({ method, authorization }) => method === 'GET' && authorization === undefined));
  });
}

for (const where of ['by its path alone', 'with its host']) {
  test(`a redirect to the same registry, written ${where}, is followed with our token`, async (t) => {
    const { upstream, image, manifestUrl, layerUrl, layer } = await setTwoScene(t);
    const only = (path: string) => path.startsWith('/v2/') && !path.includes('signature');
    const led = () => upstream.seen.filter(({ path }) => path.includes('signature'));
    upstream.faults.push(redirectTo(where === 'with its host' ? upstream.url : '', { only }));
    const manifest = await fetchRaw(manifestUrl);
    assert.deepEqual([manifest.status, manifest.body], [200, image.manifest.bytes]);
    const blob = await fetchRaw(layerUrl);
    assert.ok(blob.status === 200 && blob.complete && blob.body.equals(layer));
    assert.equal(tokens(upstream).length, 1);
    // The first request of all comes without a token, and learns that it needs one.
    assert.ok(led().length >= 3);
    assert.ok(
      led()
        .slice(1)
        .every(({ authorization }) => authorization?.startsWith('Bearer ')),
    );
  });
}

test('lists that are redirected are read where that leads, without our authorization', async (t) => {
  const { upstream, other, image, mirror, manifestUrl } = await setTwoScene(t);
  const signature = makeReferrer(image.manifest, 'application/example', 'signature');
  other.putManifest('team/app', signature, 'signed');
  other.lists.referrers = true;
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  upstream.faults.push(redirectTo(other.url, { only: (path) => /\/(?:tags|referrers)\//.test(path) }));
  const tags = await fetchRaw(`${mirror.url}/v2/team/app/tags/list`);
  assert.deepEqual([tags.status, JSON.parse(tags.body.toString()).tags], [200, ['signed', 'v1']]);
  const referrers = await fetchRaw(`${mirror.url}/v2/team/app/referrers/${image.manifest.digest}`);
  const [first] = JSON.parse(referrers.body.toString()).manifests;
  assert.deepEqual([referrers.status, first.digest], [200, signature.digest]);
  assert.equal(other.seen.length, 2);
  assert.ok(other.seen.every(({ authorization }) => authorization === undefined));
  assert.ok(upstream.seen.slice(-2).every(({ authorization }) => authorization?.startsWith('Bearer ')));
});
