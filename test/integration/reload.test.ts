import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/async/clock.ts';
import { watchConfig } from '../../src/cli/reload.ts';
import { makeCertificate } from '../support/certificate.ts';
import { fetchRaw } from '../support/client.ts';
import { status as limit, slow } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { collectLog, type LogLine, upstreamConfig } from '../support/mirror.ts';
import { Mount } from '../support/mount.ts';
import { FakeRegistry } from '../support/registry.ts';
import { type Scene, type SceneOptions, setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

interface Reloads extends Scene {
  readonly lines: readonly LogLine[];
  /** Replaces the file by one with these keys, and awaits what is said about it. */
  put(keys: object | string): Promise<LogLine>;
  /** The keys that the mirror began with, with others in the upstream. */
  with(upstream: object, more?: object): object;
}

/** A mirror whose configuration file is mounted as Kubernetes does it. */
async function setReloads(t: TestContext, options: SceneOptions = {}): Promise<Reloads> {
  const scene = await setScene(t, options);
  const { dataDir, mirror } = scene.mirror;
  const kept = { listen: '127.0.0.1:0', admin: '127.0.0.1:0', dataDir };
  const keys = (upstream: object, more: object = {}) => ({
    ...upstreamConfig(scene.upstream.url, { ...options.upstream, ...upstream }),
    ...options.config,
    ...more,
    ...kept,
  });
  const mount = new Mount({ 'weir.yaml': JSON.stringify(keys({})) });
  const lines: LogLine[] = [];
  const log = { ...collectLog(lines), level: 'info' };
  const watching = watchConfig({ file: mount.path('weir.yaml'), clock: systemClock, log, mirror });
  t.after(() => watching.close());
  const put = async (next: object | string) => {
    const before = lines.length;
    mount.put({ 'weir.yaml': typeof next === 'string' ? next : JSON.stringify(next) });
    await until(() => lines.length > before);
    return lines[before] ?? assert.fail();
  };
  return { ...scene, lines, put, with: keys };
}

test('a changed file changes who may pull what, and from where', async (t) => {
  const { put, with: keys, mirror, manifestUrl } = await setReloads(t);
  const other = await FakeRegistry.start();
  t.after(() => other.close());
  const image = makeImage(1000);
  other.push('else/where', 'v1', image);
  const elsewhere = `${mirror.url}/v2/new.test/else/where/manifests/v1`;
  assert.deepEqual([await status(manifestUrl), await status(elsewhere)], [200, 404]);
  const config = keys({ deny: ['team/*'] });
  const added = { 'new.test': { endpoints: [other.url], insecure: true } };
  const { message, fields } = await put({ ...config, upstreams: { ...upstreamsOf(config), ...added } });
  assert.deepEqual([message, fields['keys']], ['the configuration was read again', ['upstreams']]);
  assert.deepEqual([await status(manifestUrl), await status(elsewhere)], [403, 200]);
  await put(keys({}));
  assert.deepEqual([await status(manifestUrl), await status(elsewhere)], [200, 404]);
});

test('a pull goes on while its upstream is changed under it, and whatever it still needs comes from the new one', async (t) => {
  const scene = await setReloads(t, { layers: [6_000_000], upstream: { stallTimeout: '60s', connections: 1 } });
  const replacement = await FakeRegistry.start();
  t.after(() => replacement.close());
  replacement.push('team/app', 'v1', scene.image);
  await fetchRaw(scene.manifestUrl);
  scene.upstream.faults.push(slow(3_000_000));
  let reload: Promise<unknown> | undefined;
  const { body, complete } = await fetchRaw(scene.layerUrl, {
    onBytes: () => {
      reload ??= scene.put(scene.with({ endpoints: [replacement.url] }));
      return undefined;
    },
  });
  await reload;
  assert.ok(complete && body.equals(scene.layer));
  assert.ok(replacement.blobBytes > 0 && scene.upstream.blobBytes > 0);
});

test('a pull of an upstream that is taken away goes on', async (t) => {
  const scene = await setReloads(t, { layers: [4_000_000] });
  await fetchRaw(scene.manifestUrl);
  scene.upstream.faults.push(slow(4_000_000));
  let reload: Promise<unknown> | undefined;
  const { body } = await fetchRaw(scene.layerUrl, {
    onBytes: () => {
      reload ??= scene.put({ ...scene.with({}), defaultUpstream: 'quay.io', upstreams: {} });
      return undefined;
    },
  });
  await reload;
  assert.ok(body.equals(scene.layer));
  assert.equal(await status(`${scene.manifestUrl}?ns=up.test`), 404);
});

test('limits, and which endpoint fails, stay known while it is asked in the same way', async (t) => {
  const dead = await FakeRegistry.start();
  await dead.close();
  const scene = await setReloads(t);
  const { mirror, put, upstream, with: keys } = scene;
  const endpoints = [dead.url, upstream.url];
  const shown = async () => {
    const { upstreams } = JSON.parse((await fetchRaw(`${mirror.adminUrl}/api/status`)).body.toString());
    const [first] = upstreams.filter(({ name }: { name: string }) => name === 'up.test');
    return [...first.endpoints.map(({ state }: { state: string }) => state), first.circuits.length];
  };
  const asked = () => upstream.seen.length;
  await put(keys({ endpoints }));
  upstream.faults.push(limit(429, { only: () => true, retryAfter: '600' }));
  assert.equal(await status(scene.manifestUrl), 503);
  assert.deepEqual(await shown(), ['failing', 'unknown', 1]);
  const before = asked();
  await put(keys({ endpoints, tagTtl: '1m' }));
  assert.deepEqual(await shown(), ['failing', 'unknown', 1]);
  assert.equal(await status(scene.manifestUrl), 503);
  assert.equal(asked(), before);
  await put(keys({ endpoints: [dead.url] }));
  assert.deepEqual(await shown(), ['failing', 0]);
  await put(keys({ endpoints, realms: ['login.test'] }));
  assert.deepEqual(await shown(), ['unknown', 'unknown', 0]);
  assert.equal(await status(scene.manifestUrl), 200);
});

test('further authorities are read again with the configuration, though their file has the same name', async (t) => {
  const [old, renewed] = [makeCertificate('localhost'), makeCertificate('localhost')];
  const scene = await setReloads(t);
  const { bytes } = scene.image.manifest;
  const server = createServer({ key: renewed.key, cert: renewed.certificate }, (_request, response) => {
    response.setHeader('content-type', 'application/vnd.oci.image.manifest.v1+json').end(bytes);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const config = scene.with({
    endpoints: [`https://localhost:${address.port}`],
    insecure: false,
    ca: old.certificateFile,
  });
  await scene.put(config);
  assert.equal(await status(scene.manifestUrl), 503);
  writeFileSync(old.certificateFile, renewed.certificate);
  await scene.put(`${JSON.stringify(config)}\n`);
  assert.equal(await status(scene.manifestUrl), 200);
});

test('an invalid file is reported with its places, and changes nothing', async (t) => {
  const { put, with: keys, manifestUrl, mirror } = await setReloads(t);
  const { level, message, fields } = await put('cache:\n  maxSize: huge\nupstreams: {}\ntypo: 1\n');
  assert.deepEqual([level, message], ['error', 'the new configuration cannot be used, the old one stays']);
  assert.match(String(fields['error']), /weir\.yaml:2:3 cache\.maxSize: expected a size/);
  assert.match(String(fields['error']), /weir\.yaml:4:1 typo: unknown key/);
  assert.equal(await status(manifestUrl), 200);
  const unreadable = await put(keys({ deny: ['team/*'], ca: join(mirror.dataDir, 'none.pem') }));
  assert.match(String(unreadable.fields['error']), /ENOENT.*none\.pem/);
  assert.equal(await status(manifestUrl), 200);
  assert.equal((await put(keys({ deny: ['team/*'] }))).level, 'info');
  assert.equal(await status(manifestUrl), 403);
});

test('what the mirror is built on waits for a restart, and that is said', async (t) => {
  const { put, with: keys, lines, manifestUrl } = await setReloads(t);
  const { fields } = await put({
    ...keys({}),
    listen: '127.0.0.1:1',
    dataDir: '/elsewhere',
    log: { format: 'pretty' },
  });
  assert.deepEqual(fields['keys'], []);
  const warning = lines.find(({ level }) => level === 'warn');
  assert.deepEqual(warning?.fields['keys'], ['listen', 'dataDir', 'log.format']);
  assert.equal(await status(manifestUrl), 200);
});

test('limits are changed while the mirror runs', async (t) => {
  const { put, with: keys, mirror, upstream, manifestUrl, layerUrl, layer } = await setReloads(t);
  await fetchRaw(manifestUrl);
  await fetchRaw(layerUrl);
  await until(async () => (await mirror.metrics()).includes(`weir_cache_bytes ${layer.length}`));
  const change = { cache: { maxSize: '1MB' }, clients: { maxStreams: 1, trustProxy: ['127.0.0.1'] } };
  const { fields } = await put(keys({}, change));
  assert.deepEqual(fields['keys'], ['cache.maxSize', 'clients.maxStreams', 'clients.trustProxy']);
  await until(async () => /weir_cache_bytes 0$/m.test(await mirror.metrics()));
  assert.match(await mirror.metrics(), /weir_cache_limit_bytes 1000000$/m);
  upstream.faults.push(slow(3_000_000));
  let refused: Promise<number> | undefined;
  await fetchRaw(layerUrl, {
    onBytes: () => {
      const headers = { 'x-forwarded-for': '203.0.113.9' };
      refused ??= fetchRaw(`${mirror.url}/v2/`, { headers }).then((answer) => answer.status);
      return undefined;
    },
  });
  assert.equal(await refused, 503);
  assert.ok(mirror.log.some(({ fields: { client } }) => client === '203.0.113.9'));
});

test('a login that is configured later counts from then on, and so does its end', async (t) => {
  const {
    put,
    with: keys,
    manifestUrl,
    upstream,
  } = await setReloads(t, {
    upstream: { negativeTtl: '0s', tagTtl: '0s', staleIfError: '0s' },
  });
  upstream.requireBasic('u', 'secret');
  const before = await status(manifestUrl);
  assert.ok(before >= 400, `${before}`);
  const passwordFile = join(tempDir(), 'password');
  writeFileSync(passwordFile, 'secret');
  await put(keys({ credentials: { username: 'u', passwordFile } }));
  assert.equal(await status(manifestUrl), 200);
  await put(keys({}));
  assert.equal(await status(manifestUrl), before);
});

async function status(url: string): Promise<number> {
  return (await fetchRaw(url)).status;
}

function upstreamsOf(config: object): object {
  return 'upstreams' in config && typeof config.upstreams === 'object' ? (config.upstreams ?? {}) : {};
}
