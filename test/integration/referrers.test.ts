import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { ociIndex } from '../../src/oci/media-types.ts';
import { emptyConfig, makeReferrer, makeReferrersIndex } from '../support/artifacts.ts';
import { type ClientAnswer, fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, status } from '../support/faults.ts';
import type { FixtureManifest } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { type Scene, type SceneOptions, setScene } from '../support/scene.ts';

const minutes = 60_000;
const signatureType = 'application/vnd.dev.cosign.artifact.sig.v1+json';
const sbomType = 'application/spdx+json';
const referrers = (path: string) => path.includes('/referrers/');
const tagOf = (digest: Digest) => digest.replace(':', '-');

interface SignedScene extends Scene {
  readonly clock: FakeClock;
  readonly signature: FixtureManifest;
  readonly sbom: FixtureManifest;
  readonly referrersUrl: string;
}

/** An image with a signature and an SBOM, at a registry that has the referrers API, or a tag instead, or nothing. */
async function setSignedScene(
  t: Parameters<typeof setScene>[0],
  keeping: 'api' | 'tag' | 'nothing',
  options: SceneOptions = {},
): Promise<SignedScene> {
  const clock = new FakeClock();
  const scene = await setScene(t, { ...options, mirror: { clock } });
  const { upstream, mirror, image } = scene;
  const signature = makeReferrer(image.manifest, signatureType, 'signature');
  const sbom = makeReferrer(image.manifest, sbomType, 'sbom');
  const kept = keeping === 'nothing' ? [] : [signature, sbom];
  for (const manifest of kept) upstream.putManifest('team/app', manifest);
  upstream.putBlob('team/app', emptyConfig);
  upstream.lists.referrers = keeping === 'api';
  const { digest } = image.manifest;
  if (keeping === 'tag') upstream.putManifest('team/app', makeReferrersIndex(signature, sbom), tagOf(digest));
  return { ...scene, clock, signature, sbom, referrersUrl: `${mirror.url}/v2/team/app/referrers/${digest}` };
}

/** Asserts that this is an index of these referrers, byte for byte what clients demand of one. */
function assertReferrers(answer: ClientAnswer, expected: readonly FixtureManifest[]): void {
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], ociIndex);
  assert.equal(answer.headers['content-length'], String(answer.body.length));
  const index = JSON.parse(answer.body.toString());
  assert.deepEqual([index.schemaVersion, index.mediaType], [2, ociIndex]);
  assert.deepEqual(
    index.manifests.map(({ digest }: { digest: string }) => digest),
    expected.map(({ digest }) => digest),
  );
}

for (const keeping of ['api', 'tag'] as const) {
  test(`referrers are listed where the upstream has them by ${keeping}, with what is said of them`, async (t) => {
    const { referrersUrl, signature, sbom } = await setSignedScene(t, keeping);
    const answer = await fetchRaw(referrersUrl);
    assertReferrers(answer, [signature, sbom]);
    assert.equal(answer.headers['oci-filters-applied'], undefined);
    const [first] = JSON.parse(answer.body.toString()).manifests;
    assert.deepEqual([first.artifactType, first.annotations], [signatureType, { note: 'signature' }]);
  });

  test(`a filter is applied here, and said to be, where the upstream has them by ${keeping}`, async (t) => {
    const { referrersUrl, signature, sbom, upstream } = await setSignedScene(t, keeping);
    const cases = [
      { types: [signatureType], expected: [signature] },
      { types: [sbomType, signatureType], expected: [signature, sbom] },
      { types: ['application/other'], expected: [] },
    ];
    for (const { types, expected } of cases) {
      const query = types.map((type) => `artifactType=${encodeURIComponent(type)}`).join('&');
      const answer = await fetchRaw(`${referrersUrl}?${query}`);
      assertReferrers(answer, expected);
      assert.equal(answer.headers['oci-filters-applied'], 'artifactType');
    }
    assert.equal(upstream.seen.filter(({ path }) => referrers(path)).length, 1);
  });
}

test('what nothing refers to has an empty list, whether the upstream knows the manifest or not', async (t) => {
  const { mirror, upstream, referrersUrl } = await setSignedScene(t, 'nothing');
  for (const api of [true, false]) {
    upstream.lists.referrers = api;
    const unknown = digestOf(Buffer.from(String(api)));
    assertReferrers(await fetchRaw(`${mirror.url}/v2/team/app/referrers/${unknown}`), []);
  }
  assertReferrers(await fetchRaw(referrersUrl), []);
});

test('a digest that is none is refused', async (t) => {
  const { mirror, upstream } = await setSignedScene(t, 'api');
  const answer = await fetchRaw(`${mirror.url}/v2/team/app/referrers/sha256:baddigeststring`);
  assert.deepEqual([answer.status, JSON.parse(answer.body.toString()).errors[0].code], [400, 'DIGEST_INVALID']);
  assert.equal(upstream.seen.length, 0);
});

for (const code of [400, 404, 405, 406, 501]) {
  test(`an upstream that answers ${code} to referrers has them by tag, and is not taken for broken`, async (t) => {
    const { referrersUrl, manifestUrl, signature, sbom, upstream } = await setSignedScene(t, 'tag');
    upstream.faults.push(status(code, { only: referrers }));
    assertReferrers(await fetchRaw(referrersUrl), [signature, sbom]);
    assert.equal((await fetchRaw(manifestUrl)).status, 200);
  });
}

test('an upstream that answers with a page for people has them by tag', async (t) => {
  const { referrersUrl, signature, sbom, upstream } = await setSignedScene(t, 'tag');
  upstream.lists.quirk = () => ({ type: 'text/html', body: '<html>Hello</html>' });
  assertReferrers(await fetchRaw(referrersUrl), [signature, sbom]);
});

test('that a registry has no referrers API is remembered for an hour, once a manifest that is there shows it', async (t) => {
  const { mirror, clock, manifestUrl, referrersUrl, upstream, image } = await setSignedScene(t, 'tag');
  const asked = () => upstream.seen.filter(({ path }) => referrers(path)).length;
  const other = (text: string) => fetchRaw(`${mirror.url}/v2/team/app/referrers/${digestOf(Buffer.from(text))}`);
  await fetchRaw(`${mirror.url}/v2/team/missing/referrers/${image.manifest.digest}`);
  await other('1');
  assert.equal(asked(), 2);
  await fetchRaw(manifestUrl);
  await fetchRaw(referrersUrl);
  assert.equal(asked(), 3);
  await other('2');
  assert.equal(asked(), 3);
  clock.advance(61 * minutes);
  await other('3');
  assert.equal(asked(), 4);
});

for (const code of [400, 404]) {
  test(`that an upstream answers ${code} to a page that a client made up says nothing of other lists`, async (t) => {
    const { manifestUrl, referrersUrl, signature, sbom, upstream } = await setSignedScene(t, 'api');
    await fetchRaw(manifestUrl);
    upstream.faults.push(status(code, { only: referrers }));
    assert.equal((await fetchRaw(`${referrersUrl}?page=nonsense`)).status, 404);
    assertReferrers(await fetchRaw(referrersUrl), [signature, sbom]);
  });

  test(`nor does it where the upstream answers ${code} since the manifest is gone there`, async (t) => {
    const { mirror, manifestUrl, referrersUrl, image, signature, upstream } = await setSignedScene(t, 'api');
    const later = makeReferrer(signature, sbomType, 'of the signature');
    upstream.putManifest('team/app', later);
    await fetchRaw(manifestUrl);
    const { digest } = image.manifest;
    upstream.faults.push(status(code, { only: referrers }));
    upstream.faults.push(status(404, { only: (path) => path.endsWith(`/manifests/${digest}`) }));
    assertReferrers(await fetchRaw(referrersUrl), []);
    assertReferrers(await fetchRaw(`${mirror.url}/v2/team/app/referrers/${signature.digest}`), [later]);
  });
}

test('a page that is no index is not there, unless it is the first', async (t) => {
  const { referrersUrl, upstream } = await setSignedScene(t, 'tag');
  upstream.lists.quirk = () => ({ type: 'text/html', body: '<html>Hello</html>' });
  assert.equal((await fetchRaw(`${referrersUrl}?page=nonsense`)).status, 404);
});

for (const code of [500, 503, 429]) {
  test(`an upstream that answers ${code} is an error, not an empty list; what it said before counts`, async (t) => {
    const { clock, referrersUrl, signature, sbom, upstream } = await setSignedScene(t, 'api');
    const fault = status(code, { times: always, only: referrers });
    upstream.faults.push(fault);
    const failed = await fetchRaw(referrersUrl);
    assert.ok([502, 503].includes(failed.status), String(failed.status));
    assert.equal(failed.headers['www-authenticate'], undefined);
    Object.assign(fault, { times: 0 });
    // The time that a limit lasts.
    clock.advance(minutes);
    assertReferrers(await fetchRaw(referrersUrl), [signature, sbom]);
    Object.assign(fault, { times: always });
    clock.advance(6 * minutes);
    const stale = await fetchRaw(referrersUrl);
    assertReferrers(stale, [signature, sbom]);
    assert.match(String(stale.headers['warning']), /^299 - "[^"]*"$/);
  });
}

for (const code of [401, 403]) {
  test(`an upstream that answers ${code} is believed, whatever it said before`, async (t) => {
    const { clock, referrersUrl, signature, sbom, upstream } = await setSignedScene(t, 'api');
    assertReferrers(await fetchRaw(referrersUrl), [signature, sbom]);
    upstream.faults.push(status(code, { times: always, only: referrers }));
    clock.advance(6 * minutes);
    const { status: refused, headers, body } = await fetchRaw(referrersUrl);
    // Not 404, which clients take for an empty list.
    assert.deepEqual([refused, JSON.parse(body.toString()).errors[0].code], [403, 'DENIED']);
    assert.equal(headers['www-authenticate'], undefined);
  });
}

test('an index that cannot be read, or a tag that fails, is an error too', async (t) => {
  const { referrersUrl, upstream } = await setSignedScene(t, 'tag');
  upstream.lists.quirk = () => ({ type: ociIndex, body: 'no JSON' });
  assert.equal((await fetchRaw(referrersUrl)).status, 502);
  upstream.lists.quirk = () => undefined;
  upstream.faults.push(status(500, { only: (path) => path.includes('/manifests/sha256-') }));
  assert.equal((await fetchRaw(referrersUrl)).status, 502);
});

test('referrers count for the life of a tag, their absence for a moment', async (t) => {
  const { clock, referrersUrl, signature, sbom, upstream, image } = await setSignedScene(t, 'api');
  await fetchRaw(referrersUrl);
  const later = makeReferrer(image.manifest, sbomType, 'later');
  upstream.putManifest('team/app', later);
  clock.advance(4 * minutes);
  assertReferrers(await fetchRaw(referrersUrl), [signature, sbom]);
  clock.advance(2 * minutes);
  assertReferrers(await fetchRaw(referrersUrl), [signature, sbom, later]);
  const bare = await setSignedScene(t, 'nothing');
  bare.upstream.lists.referrers = true;
  await fetchRaw(bare.referrersUrl);
  bare.upstream.putManifest('team/app', bare.signature);
  bare.clock.advance(11_000);
  assertReferrers(await fetchRaw(bare.referrersUrl), [bare.signature]);
});

test('pages of referrers are followed at the mirror, with the filter', async (t) => {
  const scene = await setSignedScene(t, 'api');
  scene.upstream.lists.pageSize = 1;
  scene.upstream.lists.linkBase = 'https://registry.up.test';
  const query = `artifactType=${encodeURIComponent(sbomType)}&ns=up.test`;
  const first = await fetchRaw(`${scene.referrersUrl}?${query}`);
  assertReferrers(first, []);
  const [, target = ''] = /^<(\/[^>]*)>; rel="next"$/.exec(String(first.headers['link'])) ?? [];
  const second = await fetchRaw(`${scene.mirror.url}${target}`);
  assertReferrers(second, [scene.sbom]);
  assert.equal(second.headers['link'], undefined);
  assert.equal(second.headers['oci-filters-applied'], 'artifactType');
});

test('pages that the upstream led to count while it is down, those that a client made up do not', async (t) => {
  const { referrersUrl, mirror, signature, sbom, upstream } = await setSignedScene(t, 'api');
  const invented = `${referrersUrl}?invented=1`;
  assertReferrers(await fetchRaw(invented), [signature, sbom]);
  upstream.lists.pageSize = 1;
  const pages = async () => {
    const first = await fetchRaw(referrersUrl);
    const [, target = ''] = /^<(\/[^>]*)>; rel="next"$/.exec(String(first.headers['link'])) ?? [];
    assertReferrers(first, [signature]);
    assertReferrers(await fetchRaw(`${mirror.url}${target}`), [sbom]);
  };
  await pages();
  await upstream.close();
  await pages();
  assert.equal((await fetchRaw(invented)).status, 503);
});

test('a long digest has a tag that is cut', async (t) => {
  const { mirror, upstream, signature } = await setSignedScene(t, 'nothing');
  const digest = digestOf(Buffer.from('long'), 'sha512');
  upstream.putManifest('team/app', makeReferrersIndex(signature), `sha512-${digest.slice(7, 71)}`);
  assertReferrers(await fetchRaw(`${mirror.url}/v2/team/app/referrers/${digest}`), [signature]);
});

for (const keeping of ['api', 'tag', 'nothing'] as const) {
  test(`an image with signatures by ${keeping} is pulled and verified while the upstream is down, after a restart too`, async (t) => {
    const scene = await setSignedScene(t, keeping);
    const { mirror, upstream, clock, image, signature, sbom } = scene;
    const listed = keeping === 'nothing' ? [] : [signature, sbom];
    const verify = async (base: string) => {
      const at = (path: string) => fetchRaw(`${base}/v2/team/app/${path}`);
      assert.equal((await at('manifests/v1')).status, 200);
      assertReferrers(await at(`referrers/${image.manifest.digest}`), listed);
      for (const { digest, bytes } of listed) assert.deepEqual((await at(`manifests/${digest}`)).body, bytes);
      if (listed.length > 0) assert.deepEqual((await at(`blobs/${digestOf(emptyConfig)}`)).body, emptyConfig);
      const cosign = await at(`manifests/${tagOf(image.manifest.digest)}.sig`);
      assert.deepEqual([cosign.status, JSON.parse(cosign.body.toString()).errors[0].code], [404, 'MANIFEST_UNKNOWN']);
      for (const [blob, bytes] of image.blobs) assert.ok((await at(`blobs/${blob}`)).body.equals(bytes));
    };
    await verify(mirror.url);
    await upstream.close();
    clock.advance(3 * 24 * 60 * minutes);
    await verify(mirror.url);
    await mirror.close();
    const config = upstreamConfig(upstream.url);
    await verify((await startMirror(t, { clock, dataDir: mirror.dataDir, config })).url);
  });
}

test('offline, referrers are those that are held; that there are no others is remembered no longer', async (t) => {
  const scene = await setSignedScene(t, 'api');
  const { clock, image, mirror, referrersUrl, signature, sbom, upstream } = scene;
  await fetchRaw(referrersUrl);
  const other = makeReferrer(signature, sbomType, 'of the signature');
  upstream.putManifest('team/app', other);
  await mirror.close();
  clock.advance(365 * 24 * 60 * minutes);
  const asked = upstream.seen.length;
  const start = (offline: boolean) =>
    startMirror(t, { clock, dataDir: mirror.dataDir, config: upstreamConfig(upstream.url, { offline }) });
  const offline = await start(true);
  const at = (base: string, digest: Digest) => fetchRaw(`${base}/v2/team/app/referrers/${digest}`);
  assertReferrers(await at(offline.url, image.manifest.digest), [signature, sbom]);
  assertReferrers(await at(offline.url, signature.digest), []);
  assert.equal(upstream.seen.length, asked);
  await offline.close();
  assertReferrers(await at((await start(false)).url, signature.digest), [other]);
});

test('what was remembered for longer than staleIfError does not count', async (t) => {
  const { clock, referrersUrl, upstream } = await setSignedScene(t, 'api', { upstream: { staleIfError: '1h' } });
  await fetchRaw(referrersUrl);
  await upstream.close();
  clock.advance(59 * minutes);
  assert.equal((await fetchRaw(referrersUrl)).status, 200);
  clock.advance(2 * minutes);
  assert.equal((await fetchRaw(referrersUrl)).status, 503);
});

test('many who ask for referrers ask the upstream once', async (t) => {
  const { referrersUrl, upstream } = await setSignedScene(t, 'api');
  await Promise.all(Array.from({ length: 20 }, () => fetchRaw(referrersUrl)));
  assert.equal(upstream.seen.length, 1);
});
