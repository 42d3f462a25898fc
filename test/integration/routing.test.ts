import assert from 'node:assert/strict';
import { get } from 'node:http';
import { test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { makeImage } from '../support/images.ts';
import { startMirror } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';

async function setScene(t: Parameters<typeof startMirror>[0]) {
  const hub = await FakeRegistry.start();
  const quay = await FakeRegistry.start();
  t.after(async () => {
    await Promise.all([hub.close(), quay.close()]);
  });
  const image = makeImage(10);
  const other = makeImage(20);
  hub.push('library/nginx', '1.25', image);
  quay.push('org/nginx', '1.25', other);
  quay.push('docker.io/library/nginx', '1.25', other);
  const config = {
    upstreams: {
      'docker.io': { endpoints: [hub.url], insecure: true, aliases: ['hub'] },
      'quay.io': { endpoints: [quay.url], insecure: true, allow: ['org/*', 'docker.io/*'], deny: ['org/secret*'] },
    },
  };
  const mirror = await startMirror(t, { config });
  return { hub, quay, image, other, mirror };
}

const layouts = [
  '/v2/docker.io/library/nginx/manifests/1.25',
  '/v2/docker.io/library/nginx/manifests/1.25?ns=docker.io',
  '/v2/library/nginx/manifests/1.25?ns=docker.io',
  '/docker.io/v2/library/nginx/manifests/1.25?ns=docker.io',
  '/docker.io/v2/library/nginx/manifests/1.25',
  '/v2/library/nginx/manifests/1.25',
  '/v2/nginx/manifests/1.25',
  '/v2/hub/library/nginx/manifests/1.25',
  '/v2/hub/nginx/manifests/1.25',
  '/v2/library/nginx/manifests/1.25?ns=registry-1.docker.io',
];

for (const path of layouts) {
  test(`${path} is library/nginx of docker.io`, async (t) => {
    const { mirror, image, hub, quay } = await setScene(t);
    const answer = await fetchRaw(`${mirror.url}${path}`);
    assert.deepEqual(answer.body, image.manifest.bytes);
    assert.equal(hub.seen[0]?.path, '/v2/library/nginx/manifests/1.25');
    assert.equal(quay.seen.length, 0);
  });
}

test('a name whose letters only look like an upstream’s is none', async (t) => {
  const { mirror } = await setScene(t);
  const { status, body } = await fetchRaw(`${mirror.url}/v2/library/nginx/manifests/1.25?ns=doc%E2%84%AAer.io`);
  assert.deepEqual([status, JSON.parse(body.toString()).errors[0].code], [404, 'NAME_UNKNOWN']);
});

test('where ns and the first component of the name disagree, ns counts and the name is whole', async (t) => {
  const { mirror, other, quay } = await setScene(t);
  const answer = await fetchRaw(`${mirror.url}/v2/docker.io/library/nginx/manifests/1.25?ns=quay.io`);
  assert.deepEqual(answer.body, other.manifest.bytes);
  assert.equal(quay.seen[0]?.path, '/v2/docker.io/library/nginx/manifests/1.25');
});

test('an upstream can be named as the Host', async (t) => {
  const { mirror, other } = await setScene(t);
  const status = await new Promise<number | undefined>((resolve) => {
    const options = { port: mirror.port, path: '/v2/org/nginx/manifests/1.25', headers: { host: 'quay.io' } };
    get(options, (response) => resolve(response.resume().statusCode));
  });
  assert.equal(status, 200);
  const answer = await fetchRaw(`${mirror.url}/v2/quay.io/org/nginx/manifests/1.25`);
  assert.deepEqual(answer.body, other.manifest.bytes);
});

for (const path of [
  '/v2/library/nginx/manifests/1.25?ns=evil.internal',
  '/evil.internal/v2/library/nginx/manifests/1.25',
]) {
  test(`${path} is refused, and nobody is asked`, async (t) => {
    const { mirror, hub, quay } = await setScene(t);
    const answer = await fetchRaw(`${mirror.url}${path}`);
    assert.equal(answer.status, 404);
    assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'NAME_UNKNOWN');
    assert.equal(hub.seen.length + quay.seen.length, 0);
  });
}

test('repositories that are not allowed are denied, and nobody is asked', async (t) => {
  const { mirror, quay } = await setScene(t);
  for (const name of ['private/app', 'org/secret-app']) {
    const answer = await fetchRaw(`${mirror.url}/v2/quay.io/${name}/manifests/1.25`);
    assert.equal(answer.status, 403);
    assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'DENIED');
  }
  assert.equal(quay.seen.length, 0);
});
