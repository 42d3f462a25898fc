import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ImageView } from '../../src/cache/images.ts';
import { digestOf, hexOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { always, stallAfter, status } from '../support/faults.ts';
import { makeImage, makeIndex } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { type Scene, type SceneOptions, setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

/** A scene whose admin API can be called. */
class AdminScene {
  readonly scene: Scene;

  constructor(scene: Scene) {
    this.scene = scene;
  }

  static async set(t: TestContext, options: SceneOptions = {}): Promise<AdminScene> {
    return new AdminScene(await setScene(t, options));
  }

  async call(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
    const { adminUrl } = this.scene.mirror;
    const answer = await fetchRaw(`${adminUrl}/api/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, text: answer.body.toString() };
  }

  async images(): Promise<ImageView[]> {
    return JSON.parse((await this.call('GET', 'images')).text);
  }

  /** Brings images; the lines that were said of it. */
  async warm(images: readonly string[], platforms?: readonly string[]): Promise<Record<string, unknown>[]> {
    const { status, text } = await this.call('POST', 'warm', { images, ...(platforms ? { platforms } : {}) });
    assert.equal(status, 200, text);
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  }

  isStored(blob: Buffer): boolean {
    const hex = hexOf(digestOf(blob));
    return existsSync(join(this.scene.mirror.dataDir, 'blobs/sha256', hex.slice(0, 2), hex));
  }
}

test('images are listed with what is held of them, and removed with what no other image has', async (t) => {
  const admin = await AdminScene.set(t, { layers: [3000, 2000] });
  const { image, manifestUrl, blobUrl, upstream, mirror } = admin.scene;
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = image.layers;
  upstream.push('team/app', 'v2', image);
  await fetchRaw(manifestUrl);
  await fetchRaw(blobUrl(digestOf(first)));
  await until(async () => /^weir_flights 0$/m.test(await mirror.metrics()));
  const [view, ...more] = await admin.images();
  assert.equal(more.length, 0);
  const size = 5000 + image.config.length;
  const { usedAt, ...rest } = view ?? assert.fail();
  const digest = image.manifest.digest;
  const expected = { upstream: 'up.test', repository: 'team/app', tag: 'v1', digest, held: 3000, size };
  assert.deepEqual(rest, { ...expected, complete: false, pinned: false });
  assert.equal(typeof usedAt, 'number');
  await admin.warm(['up.test/team/app:v1', 'up.test/team/app:v2']);
  assert.deepEqual(
    (await admin.images()).map(({ tag, complete }) => [tag, complete]),
    [
      ['v1', true],
      ['v2', true],
    ],
  );
  assert.equal((await admin.call('DELETE', 'images/up.test/team/app:v1')).status, 200);
  assert.ok(admin.isStored(first));
  assert.equal((await admin.call('DELETE', `images/up.test/team/app@${digest}`)).status, 200);
  assert.deepEqual([await admin.images(), admin.isStored(first), admin.isStored(second)], [[], false, false]);
  assert.equal((await admin.call('DELETE', 'images/up.test/team/app:v2')).status, 404);
});

test('a pinned image is not removed, and goes for no other', async (t) => {
  const admin = await AdminScene.set(t, { layers: [400_000], config: { cache: { maxSize: '1MB' } } });
  const { layer, upstream } = admin.scene;
  assert.equal((await admin.call('POST', 'pins', { image: 'up.test/team/app:v1' })).status, 200);
  await admin.warm(['up.test/team/app:v1']);
  assert.deepEqual(
    (await admin.images()).map(({ pinned }) => pinned),
    [true],
  );
  assert.equal((await admin.call('DELETE', 'images/up.test/team/app:v1')).status, 409);
  const others = [makeImage(450_000), makeImage(450_000)];
  for (const [index, image] of others.entries()) upstream.push('team/app', `other${index}`, image);
  for (const index of others.keys()) await admin.warm([`up.test/team/app:other${index}`]);
  assert.ok(admin.isStored(layer));
  assert.deepEqual(
    others.map(({ layers: [each = layer] }) => admin.isStored(each)),
    [false, true],
  );
  // Of the one that went, its small config may have stayed: then it is still there, in part.
  const whole = (await admin.images()).filter(({ complete }) => complete).map(({ tag }) => tag);
  assert.deepEqual(whole, ['other1', 'v1']);
  assert.equal((await admin.call('DELETE', 'pins/up.test/team/app:v1')).status, 200);
  assert.equal((await admin.call('DELETE', 'pins/up.test/team/app:v1')).status, 404);
  assert.equal((await admin.call('DELETE', 'images/up.test/team/app:v1')).status, 200);
  assert.equal(admin.isStored(layer), false);
});

test('what is held or pinned of an upstream that is no more, or allows less now, can be listed, unpinned and removed', async (t) => {
  const admin = await AdminScene.set(t, { layers: [3000] });
  const { image, mirror, layer, upstream } = admin.scene;
  upstream.push('team/other', 'v1', image);
  const missing = `up.test/team/app@${digestOf(Buffer.from('nobody has this'))}`;
  const names = ['up.test/team/app:v1', 'up.test/team/other:v1'];
  await admin.warm(names);
  for (const name of [...names, 'up.test/team/none:v9', missing]) {
    assert.equal((await admin.call('POST', 'pins', { image: name })).status, 200);
  }
  await mirror.close();
  const config = { upstreams: { 'up.test': { endpoints: [upstream.url], insecure: true, deny: ['*'] } } };
  for (const [index, later] of [config, {}].entries()) {
    const next = await startMirror(t, { dataDir: mirror.dataDir, config: later });
    const now = new AdminScene({ ...admin.scene, mirror: next });
    const name = names[index] ?? assert.fail();
    const shown = (await now.images()).map(({ repository, tag, digest, pinned }) => [
      repository,
      tag ?? digest,
      pinned,
    ]);
    const digest = missing.split('@')[1];
    const expected = [
      ['team/app', 'v1', true],
      ['team/other', 'v1', true],
      ['team/app', digest, true],
      ['team/none', 'v9', true],
    ];
    assert.deepEqual(shown, expected.slice(index));
    assert.equal((await now.call('DELETE', `images/${name}`)).status, 409);
    assert.equal((await now.call('DELETE', `pins/${name}`)).status, 200);
    assert.equal((await now.call('DELETE', `images/${name}`)).status, 200);
    assert.ok((await now.call('DELETE', `images/${name}`)).status >= 400);
    if (index === 1) {
      for (const pin of [missing, 'up.test/team/none:v9'])
        assert.equal((await now.call('DELETE', `pins/${pin}`)).status, 200);
      assert.deepEqual(await now.images(), []);
      assert.equal(now.isStored(layer), false);
    }
    await next.close();
  }
});

test('what the metrics say is kept is what is kept when they are read', async (t) => {
  const admin = await AdminScene.set(t, { config: { cache: { maxSize: '1GB' } } });
  const figures = async () =>
    [...(await admin.scene.mirror.metrics()).matchAll(/^weir_cache_(?:limit_)?bytes (\S+)$/gm)].map(([, figure]) =>
      Number(figure),
    );
  assert.deepEqual(await figures(), [0, 1e9]);
  await admin.warm(['up.test/team/app:v1']);
  await until(async () => (await figures())[0] === 3_000_000 + admin.scene.image.config.length);
  await admin.call('DELETE', 'images/up.test/team/app:v1');
  assert.deepEqual(await figures(), [0, 1e9]);
});

test('an image is warmed for all platforms, or for some; what does not come is told, and not called complete', async (t) => {
  const admin = await AdminScene.set(t, { upstream: { giveUp: '0s', negativeTtl: '0s' } });
  const { upstream } = admin.scene;
  const [amd, arm] = [makeImage(2000), makeImage(3000)];
  for (const image of [amd, arm]) upstream.push('team/multi', 'x', image);
  upstream.putManifest('team/multi', makeIndex(amd, arm), 'v1');
  const name = 'up.test/team/multi:v1';
  const layerOf = ({ layers: [layer = Buffer.alloc(0)] }: { layers: readonly Buffer[] }) => layer;
  const some = await admin.warm([name], ['linux/arm64']);
  assert.deepEqual(some.at(-1), { image: name, complete: true });
  assert.deepEqual([admin.isStored(layerOf(amd)), admin.isStored(layerOf(arm))], [false, true]);
  const none = await admin.warm([name], ['plan9/amd64']);
  assert.deepEqual(none.at(-1), { image: name, complete: false });
  const digest = digestOf(layerOf(amd));
  const fault = status(500, { times: always, only: (path) => path.includes(digest) });
  upstream.faults.push(fault);
  const failing = await admin.warm([name]);
  assert.deepEqual(failing.at(-1), { image: name, complete: false });
  assert.ok(failing.some((line) => line['digest'] === digest && line['error'] !== undefined));
  upstream.faults.splice(0);
  const all = await admin.warm([name]);
  assert.deepEqual(all.at(-1), { image: name, complete: true });
  assert.ok(all.some((line) => line['digest'] === digest && line['held'] === 2000));
});

test('a tag is made current at once when that is asked for', async (t) => {
  const admin = await AdminScene.set(t, { upstream: { tagTtl: '1h' } });
  const { upstream, manifestUrl, image } = admin.scene;
  await fetchRaw(manifestUrl);
  const next = makeImage(100);
  upstream.push('team/app', 'v1', next);
  assert.equal((await fetchRaw(manifestUrl)).headers['docker-content-digest'], image.manifest.digest);
  const answer = await admin.call('POST', 'images/up.test/team/app:v1?refresh');
  assert.deepEqual(JSON.parse(answer.text), { digest: next.manifest.digest });
  assert.equal((await fetchRaw(manifestUrl)).headers['docker-content-digest'], next.manifest.digest);
  upstream.faults.push(status(500, { times: always, only: () => true }));
  assert.equal((await admin.call('POST', 'images/up.test/team/app:v1?refresh')).status, 502);
});

test('an image that was removed is asked for anew: a tag that has moved meanwhile is what it is now', async (t) => {
  const admin = await AdminScene.set(t, { upstream: { tagTtl: '1h' } });
  const { upstream, manifestUrl, image } = admin.scene;
  const digest = async () => (await fetchRaw(manifestUrl)).headers['docker-content-digest'];
  assert.equal(await digest(), image.manifest.digest);
  const next = makeImage(100);
  upstream.push('team/app', 'v1', next);
  assert.equal(await digest(), image.manifest.digest);
  assert.equal((await admin.call('DELETE', 'images/up.test/team/app:v1')).status, 200);
  assert.equal(await digest(), next.manifest.digest);
});

test('warming that ended in the middle of a layer goes on from there, also after a restart', async (t) => {
  const patient = { stallTimeout: '60s', connections: 1 };
  const size = 6_000_000;
  const half = size / 2;
  const first = await AdminScene.set(t, { layers: [size], upstream: patient });
  const { upstream, layer, mirror } = first.scene;
  const digest = digestOf(layer);
  upstream.faults.push(stallAfter(half, 600_000, { only: (path) => path.includes(digest) }));
  const images = ['up.test/team/app:v1'];
  const { body } = await fetch(`${mirror.adminUrl}/api/warm`, { method: 'POST', body: JSON.stringify({ images }) });
  const held = new RegExp(`"digest":"${digest}","size":${size},"held":${half}\\b`);
  let said = '';
  for await (const text of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    said += text;
    // To leave the loop is to hang up.
    if (held.test(said)) break;
  }
  assert.match(said, held);
  await mirror.close();
  upstream.faults.length = 0;
  const config = upstreamConfig(upstream.url, patient);
  const next = await startMirror(t, { dataDir: mirror.dataDir, config });
  const now = new AdminScene({ ...first.scene, mirror: next });
  assert.deepEqual((await now.warm(images)).at(-1), { image: images[0], complete: true });
  assert.ok(now.isStored(layer));
  assert.ok(upstream.blobBytes <= 1.1 * size, `${upstream.blobBytes} bytes`);
});

test('what names no image, or is no JSON, is refused', async (t) => {
  const admin = await AdminScene.set(t);
  const refused: [string, string, unknown?][] = [
    ['POST', 'pins', { image: 'up.test/UPPER:v1' }],
    ['POST', 'pins', []],
    ['POST', 'pins', { image: 'x'.repeat(2_000_000) }],
    ['POST', 'warm', { images: [] }],
    ['POST', 'warm', { images: ['up.test/team/app:v1'], platforms: 'linux/amd64' }],
    ['DELETE', 'images/up.test/team/app:v1%zz'],
  ];
  for (const [method, path, body] of refused) assert.equal((await admin.call(method, path, body)).status, 400, path);
  assert.equal((await admin.call('DELETE', 'images/other.test/team/app:v1')).status, 404);
  assert.equal((await admin.call('PUT', 'images')).status, 404);
});
