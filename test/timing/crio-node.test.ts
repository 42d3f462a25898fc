import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { CrioNode, type NodeSettings } from '../support/crio-node.ts';
import { corruptAt, endEarly, type Fault, ignoreRange, slow, stallAfter } from '../support/faults.ts';
import { type FixtureImage, makeImage, makeIndex } from '../support/images.ts';
import { FakeRegistry } from '../support/registry.ts';

// The model itself, without a mirror: times are a tenth of the real ones, so that the watchdog bites after 1 s.

const mib = 1024 * 1024;
const killedWhileUnpacking = 'copying system image from manifest list: copying config: context canceled';

const digests = ({ layers }: FixtureImage) => layers.map((layer) => digestOf(layer));

interface Place {
  readonly registry: FakeRegistry;
  readonly image: FixtureImage;
  /** The path of a layer. */
  at(layer: number): (path: string) => boolean;
  node(settings?: Partial<NodeSettings>): CrioNode;
  url: string;
}

async function setPlace(t: TestContext, ...sizes: number[]): Promise<Place> {
  const registry = await FakeRegistry.start();
  t.after(() => registry.close());
  const image = makeImage(...sizes);
  registry.push('team/app', image.manifest.digest, image);
  registry.putManifest('team/app', makeIndex(image), 'v1');
  const at = (layer: number) => {
    const digest = digestOf(image.layers[layer] ?? Buffer.alloc(0));
    return (path: string) => path.endsWith(digest);
  };
  const node = (settings: Partial<NodeSettings> = {}) =>
    new CrioNode({ scale: 0.1, commitRate: Number.POSITIVE_INFINITY, ...settings });
  return { registry, image, at, node, url: `${registry.url}/v2/team/app/manifests/v1` };
}

/** One byte at a time from `offset` on, each `ms` milliseconds. */
const trickle = (offset: number, bytes: number, ms: number, only: (path: string) => boolean): Fault[] =>
  Array.from({ length: bytes }, (_, index) => stallAfter(offset + index, ms, { only }));

test('a node asks as CRI-O does: ping, index, instance, config, layers', async (t) => {
  const { registry, image, node, url } = await setPlace(t, 1000, 2000, 0, 3000);
  const pull = await node().pull(url);
  assert.equal(pull.error, undefined);
  const paths = registry.seen.map(({ path }) => path);
  const [config, ...layers] = [...image.blobs.keys()].map((digest) => `/v2/team/app/blobs/${digest}`);
  const instance = `/v2/team/app/manifests/${image.manifest.digest}`;
  assert.deepEqual(paths.slice(0, 4), ['/v2/', '/v2/team/app/manifests/v1', instance, config]);
  assert.deepEqual(paths.slice(4).toSorted(), layers.toSorted());
  assert.ok(registry.seen.every(({ headers }) => headers['user-agent']?.startsWith('cri-o/1.31.2 ')));
});

test('a registry of unlimited speed makes a node fail whose unpacking outlasts its watchdog; the retry is instant', async (t) => {
  const { registry, image, node, url } = await setPlace(t, 100_000, 3 * mib, 32);
  const crio = node({ commitRate: 2 * mib });
  const first = await crio.pull(url);
  assert.equal(first.error, killedWhileUnpacking);
  assert.equal(first.cancelled, true);
  assert.ok(first.ms > 1500, `${first.ms} ms`);
  assert.deepEqual([...crio.layers], digests(image));
  const before = registry.blobRequests.length;
  const retry = await crio.pull(url);
  assert.equal(retry.error, undefined);
  assert.ok(retry.ms < 1000, `${retry.ms} ms`);
  assert.equal(registry.blobRequests.length, before + 1, 'only the config');
});

test('the same node without a watchdog succeeds', async (t) => {
  const { node, url } = await setPlace(t, 100_000, 3 * mib, 32);
  const pull = await node({ commitRate: 2 * mib, watchdog: undefined }).pull(url);
  assert.equal(pull.error, undefined);
  assert.equal(pull.cancelled, false);
});

test('the same node succeeds when the last bytes of the last layer come one by one', async (t) => {
  const { registry, at, node, url } = await setPlace(t, 100_000, 3 * mib, 32);
  registry.faults.push(...trickle(24, 4, 400, at(2)));
  const pull = await node({ commitRate: 2 * mib }).pull(url);
  assert.equal(pull.error, undefined);
  assert.ok(pull.longestGap >= 390, `${pull.longestGap} ms`);
  assert.ok(pull.ms > 1500, `${pull.ms} ms`);
});

test('a silence on the wire beyond the timeout ends the pull, whatever has been downloaded', async (t) => {
  const { registry, at, node, url } = await setPlace(t, 100_000, 3 * mib);
  registry.faults.push(stallAfter(mib, 5000, { only: at(1) }));
  const crio = node();
  const pull = await crio.pull(url);
  assert.match(pull.error ?? '', /^copying system image from manifest list: .*happened during read: context canceled$/);
  assert.ok(pull.longestGap > 900 && pull.longestGap < 4000, `${pull.longestGap} ms`);
  assert.equal(crio.layers.size, 1);
});

test('a silence before the first byte counts only when another layer has begun', async (t) => {
  const { registry, at, node, url } = await setPlace(t, 100_000, 100_000);
  registry.faults.push(stallAfter(0, 1500, { only: at(0) }), stallAfter(0, 1500, { only: at(1) }));
  assert.equal((await node().pull(url)).error, undefined);
  registry.faults.push(stallAfter(0, 1500, { only: at(1) }));
  assert.match((await node().pull(url)).error ?? '', /reading blob.*context canceled$/);
});

test('slow is not silent', async (t) => {
  const { registry, at, node, url } = await setPlace(t, 150_000);
  registry.faults.push(slow(100_000));
  const pull = await node().pull(url);
  assert.equal(pull.error, undefined);
  assert.ok(pull.ms > 1200, `${pull.ms} ms`);
  registry.faults.splice(0, 1, ...trickle(1000, 3, 500, at(0)));
  assert.equal((await node().pull(url)).error, undefined);
});

test('what ends short is asked for again from there', async (t) => {
  const { registry, at, node, url } = await setPlace(t, 4 * mib);
  const again = (path: string) => at(0)(path) && registry.blobRequests.length > 2;
  registry.faults.push(endEarly(2 * mib, { only: again }), endEarly(1000, { only: at(0) }));
  assert.equal((await node().pull(url)).error, undefined);
  const [, ...ranges] = registry.blobRequests.map(({ range }) => range);
  assert.deepEqual(ranges, [undefined, 'bytes=1000-', `bytes=${2 * mib}-`]);
});

test('two short ends with less than a mebibyte between them fail the pull, and so does a registry that ignores Range', async (t) => {
  const { registry, at, node, url } = await setPlace(t, 4 * mib);
  const again = (path: string) => at(0)(path) && registry.blobRequests.length > 2;
  registry.faults.push(endEarly(1000 + mib - 1, { only: again }), endEarly(1000, { only: at(0) }));
  assert.match((await node().pull(url)).error ?? '', /heuristic tuning data.*unexpected EOF$/);
  registry.faults.push(endEarly(1000, { only: at(0) }), ignoreRange({ only: at(0) }));
  assert.match((await node().pull(url)).error ?? '', /after reconnecting\): status 200$/);
});

test('a wrong byte fails the pull', async (t) => {
  const { registry, at, node, url } = await setPlace(t, 5000, 5000);
  registry.faults.push(corruptAt(70, { only: at(1) }));
  assert.match((await node().pull(url)).error ?? '', /Digest did not match/);
});

test('six layers at a time, and layers that it has are not asked for', async (t) => {
  const { registry, image, at, node, url } = await setPlace(t, ...Array.from({ length: 9 }, (_, i) => 1000 + i));
  const crio = node();
  for (const present of [0, 1]) crio.layers.add(digestOf(image.layers[present] ?? Buffer.alloc(0)));
  let unfinished = 0;
  const countUnfinished = (path: string) => {
    if (at(8)(path)) unfinished = registry.blobRequests.slice(1).filter(({ sent }) => sent === 500).length;
    return at(2)(path);
  };
  registry.faults.push(stallAfter(0, 100, { only: countUnfinished, times: 2 }));
  registry.faults.push(...[3, 4, 5, 6, 7].map((layer) => stallAfter(500, 500, { only: at(layer) })));
  assert.equal((await crio.pull(url)).error, undefined);
  assert.equal(registry.blobRequests.length, 8, 'the config and seven layers');
  assert.equal(unfinished, 5, 'the last is asked for when one of the first six is there');
});

test('layers are unpacked in order, and the worker that unpacks keeps its download slot', async (t) => {
  const { registry, image, node, url } = await setPlace(t, ...Array.from({ length: 8 }, () => 100_000));
  const crio = node({ commitRate: 500_000 });
  const pull = await crio.pull(url);
  assert.equal(pull.error, killedWhileUnpacking);
  assert.deepEqual([...crio.layers], digests(image));
  assert.equal(registry.blobRequests.length, 9);
});
