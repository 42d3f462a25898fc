import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createSilence } from 'node:net';
import { type TestContext, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { makeCertificate } from '../support/certificate.ts';
import { fetchRaw } from '../support/client.ts';
import { redirectTo } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { FakeProxy } from '../support/proxy.ts';
import { FakeRegistry } from '../support/registry.ts';

/** A registry that only the proxy can reach, as `http://registry.test`. */
async function setProxiedScene(t: TestContext, more: object = {}, endpoint = 'http://registry.test') {
  const proxy = await FakeProxy.start(t);
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  const image = makeImage(300_000);
  upstream.push('team/app', 'v1', image);
  proxy.resolve(new URL(endpoint).host, upstream.url);
  const mirror = await startMirror(t, { config: upstreamConfig(endpoint, { proxy: proxy.url, ...more }) });
  const manifestUrl = `${mirror.url}/v2/team/app/manifests/v1`;
  const layerUrl = `${mirror.url}/v2/team/app/blobs/${[...image.blobs.keys()][1]}`;
  const [layer = Buffer.alloc(0)] = image.layers;
  return { proxy, upstream, mirror, manifestUrl, layerUrl, layer };
}

test('an upstream, its token service and its redirects are reached through its proxy', async (t) => {
  const { proxy, upstream, manifestUrl, layerUrl, layer } = await setProxiedScene(t);
  const cdn = await FakeRegistry.start();
  t.after(() => cdn.close());
  cdn.putBlob('team/app', layer);
  proxy.resolve('cdn.test', cdn.url);
  proxy.resolve('auth.registry.test', upstream.url);
  upstream.requireTokens({ challenge: () => ['Bearer realm="http://auth.registry.test/token",service="fake"'] });
  upstream.faults.push(redirectTo('http://cdn.test'));
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.deepEqual(proxy.hosts, ['registry.test', 'auth.registry.test', 'cdn.test']);
  assert.ok(cdn.seen.every(({ authorization }) => authorization === undefined));
});

test('the proxy’s own login goes to the proxy, and nowhere else', async (t) => {
  const outside = await FakeProxy.start(t);
  outside.authorization = `Basic ${Buffer.from('bob:p@ss').toString('base64')}`;
  const { upstream, mirror, manifestUrl, layerUrl, layer } = await setProxiedScene(t, {
    proxy: outside.url.replace('//', '//bob:p%40ss@'),
  });
  outside.resolve('registry.test', upstream.url);
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.ok(upstream.seen.every(({ headers }) => headers['proxy-authorization'] === undefined));
  outside.authorization = 'Basic other';
  upstream.removeTag('team/app', 'v1');
  const refused = await fetchRaw(manifestUrl.replace('v1', 'v2'));
  assert.equal(refused.status, 503);
  assert.match(JSON.stringify(mirror.log), /Proxy Authentication Required \(407\)/);
  assert.ok(!`${refused.body}${JSON.stringify(mirror.log)}`.match(/p@ss|p%40ss|Ym9i/));
});

test('https goes through a tunnel, and its certificate is checked at the far end', async (t) => {
  const { key, certificate: cert, certificateFile: ca } = makeCertificate('registry.test');
  const { proxy, upstream, manifestUrl, layerUrl, layer } = await setProxiedScene(
    t,
    { ca },
    'https://registry.test:443',
  );
  const front = createServer({ key, cert }, (request, response) => {
    fetch(new URL(request.url ?? '', upstream.url), {
      method: request.method ?? '',
      headers: { range: request.headers.range ?? '' },
    })
      .then(async (answer) => {
        response.writeHead(answer.status, Object.fromEntries(answer.headers));
        response.end(Buffer.from(await answer.arrayBuffer()));
      })
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    front.closeAllConnections();
    front.close();
  });
  proxy.resolve('registry.test:443', `https://127.0.0.1:${(front.address() as AddressInfo).port}`);
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.deepEqual(proxy.hosts, ['registry.test:443']);
  const { key: otherKey, certificate: otherCert } = makeCertificate('registry.test');
  front.setSecureContext({ key: otherKey, cert: otherCert });
  front.closeAllConnections();
  assert.equal((await fetchRaw(manifestUrl.replace('v1', 'v2'))).status, 503);
});

test('a proxy that cannot reach the upstream is an upstream that cannot be reached', async (t) => {
  const { manifestUrl, mirror } = await setProxiedScene(t, { endpoints: ['https://nowhere.test'] });
  assert.equal((await fetchRaw(manifestUrl)).status, 503);
  assert.match(JSON.stringify(mirror.log), /nowhere\.test through the proxy 127\.0\.0\.1:\d+/);
});

test('a proxy that is silent is an upstream that is', async (t) => {
  const silent = createSilence();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.after(() => silent.close());
  const proxy = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  for (const endpoint of ['http://registry.test', 'https://registry.test']) {
    const { manifestUrl } = await setProxiedScene(t, { proxy }, endpoint);
    assert.equal((await fetchRaw(manifestUrl)).status, 504);
  }
});

test('through a proxy, an upstream leads to no address that is written as a private one, nor to localhost', async (t) => {
  const { proxy, upstream, manifestUrl, layerUrl } = await setProxiedScene(t);
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  const before = proxy.hosts;
  for (const base of ['http://127.0.0.1:1', 'http://[::ffff:10.0.0.1]', 'http://2130706433', 'http://x.localhost.']) {
    upstream.faults.splice(0, 1, redirectTo(base));
    assert.equal((await fetchRaw(layerUrl)).status, 502, base);
  }
  assert.deepEqual(proxy.hosts, before);
});

test('the proxy variables are obeyed, and the exceptions from them', async (t) => {
  const proxy = await FakeProxy.start(t);
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  upstream.push('team/app', 'v1', makeImage(10));
  for (const [except, proxied] of [
    ['10.0.0.0/8', true],
    ['10.0.0.0/8,127.0.0.0/8', false],
  ] as const) {
    proxy.resolve(new URL(upstream.url).host, upstream.url);
    const { proxy: variables } = proxiesOf({ HTTP_PROXY: proxy.url, NO_PROXY: except });
    const mirror = await startMirror(t, { config: upstreamConfig(upstream.url), proxy: variables });
    assert.equal((await fetchRaw(`${mirror.url}/v2/team/app/manifests/v1`)).status, 200);
    assert.equal(proxy.seen.length > 0, proxied);
    proxy.seen.length = 0;
  }
});

function proxiesOf(env: Readonly<Record<string, string>>) {
  const [{ proxy } = { proxy: undefined }] = loadConfig({ env }).upstreams;
  return { proxy };
}
