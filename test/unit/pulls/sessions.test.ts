import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '../../../src/metrics/metrics.ts';
import { type Digest, digestOf } from '../../../src/oci/digest.ts';
import type { Descriptor, Manifest } from '../../../src/oci/manifest.ts';
import type { PullClient } from '../../../src/pulls/pull.ts';
import type { PullStream } from '../../../src/pulls/pull-stream.ts';
import { configuredRules } from '../../../src/pulls/rules.ts';
import { parseRuntime } from '../../../src/pulls/runtimes.ts';
import { Sessions } from '../../../src/pulls/sessions.ts';
import { FakeClock } from '../../support/clock.ts';
import { settingsOf } from '../../support/mirror.ts';

const mib = 1024 * 1024;
const minute = 60_000;
const repository = 'docker.io/team/app';
const crio: PullClient = { address: '10.0.0.1', runtime: parseRuntime('cri-o/1.31.2') };
const containerd: PullClient = { address: '10.0.0.1', runtime: parseRuntime('containerd/v2.1.4') };
const podman: PullClient = { address: '10.0.0.1', runtime: parseRuntime('containers/5.3.0') };

interface TestImage {
  readonly digest: Digest;
  readonly name: string;
  readonly contents: Manifest;
  readonly config: Digest;
  /** The digest of a layer. */
  layer(index: number): Digest;
}

function descriptorOf(text: string, size: number): Descriptor {
  return { digest: digestOf(Buffer.from(text)), size, mediaType: '' };
}

/** An image whose layers have these sizes. Names that are equal stand for the same content. */
function imageOf(
  name: string,
  sizes: readonly number[],
  names = sizes.map((_, index) => `${name} ${index}`),
): TestImage {
  const config = descriptorOf(`${name} config`, 1000);
  const layers = sizes.map((size, index) => descriptorOf(names[index] ?? '', size));
  const contents = { mediaType: '', manifests: [], blobs: [config, ...layers], layers };
  const digest = digestOf(Buffer.from(name));
  const layer = (index: number) => layers[index]?.digest ?? config.digest;
  return { digest, name: `${repository}@${digest}`, contents, config: config.digest, layer };
}

/** A mirror's sessions, and what is asked of them. Whoever names no connection has a new one. */
function setUp(watchdog: object = {}) {
  const clock = new FakeClock();
  const metrics = new Metrics();
  const sessions = new Sessions({ clock, metrics, rulesOf: configuredRules(settingsOf({ watchdog }).watchdog) });
  const begin = (image: TestImage, connection: object = {}, client = crio) =>
    sessions.begin(client, repository, image, connection);
  const ask = (digest: Digest, connection: object = {}, from: number | 'part' = 0, client = crio) =>
    sessions.request(client, { repository, digest, from: from === 'part' ? undefined : from, connection });
  const counted = async (name: string) =>
    (await metrics.text()).split('\n').filter((line) => line.startsWith(name) && !line.endsWith(' 0'));
  return { clock, sessions, begin, ask, counted };
}

function deliver(stream: PullStream, bytes: number): void {
  stream.sent(bytes);
  stream.taken();
  stream.end('delivered');
}

const heldOf = (_digest: Digest, size: number) => size;
/** Nothing is waited for. */
const calm = { waitsFor: undefined, heldFor: undefined, drips: 0 };
const states = (sessions: Sessions) => sessions.pulls(heldOf).map(({ layers }) => layers.map(({ state }) => state));
const outcomes = (sessions: Sessions) => sessions.pulls(heldOf).map(({ outcome }) => outcome);

test('a pull is followed from its manifest to its last byte', async () => {
  const { clock, sessions, begin, ask, counted } = setUp();
  const image = imageOf('a', [10, 20]);
  const connection = {};
  begin(image, connection);
  deliver(ask(image.config, connection), 1000);
  assert.deepEqual(sessions.pulls(heldOf), []);
  const first = ask(image.layer(0), connection);
  const second = ask(image.layer(1));
  assert.deepEqual([first.layer, second.layer, first.pull], [0, 1, second.pull]);
  assert.equal(first.pull.share, second.pull.share);
  first.sent(4);
  const { startedAt, ...shown } = sessions.pulls(heldOf)[0] ?? {};
  assert.match(startedAt ?? '', /^2026-01-01T/);
  assert.deepEqual(shown, {
    id: 1,
    client: '10.0.0.1',
    runtime: 'cri-o',
    version: '1.31.2',
    watchdog: 'fixed10',
    timeout: 10_000,
    image: image.name,
    digest: image.digest,
    layers: [
      { digest: image.layer(0), size: 10, held: 10, sent: 4, state: 'sending', ...calm },
      { digest: image.layer(1), size: 20, held: 20, sent: 0, state: 'requested', ...calm },
    ],
    longestGap: 0,
    drips: 0,
    holds: 0,
    saved: false,
    suspectedKill: false,
    outcome: undefined,
  });
  clock.advance(300);
  deliver(second, 20);
  first.taken();
  clock.advance(1200);
  deliver(first, 6);
  assert.deepEqual(outcomes(sessions), ['complete']);
  assert.deepEqual(await counted('weir_pulls_total{'), ['weir_pulls_total{runtime="cri-o",outcome="complete"} 1']);
  assert.deepEqual(await counted('weir_client_gap_seconds_sum'), ['weir_client_gap_seconds_sum 1.2']);
  assert.deepEqual(sessions.clients(), [
    {
      ...{ address: '10.0.0.1', runtime: 'cri-o', version: '1.31.2', watchdog: 'fixed10' },
      ...{ pulls: 1, savedPulls: 0, suspectedKills: 0 },
    },
  ]);
});

test('a pull that did not need every layer is over when nothing has been asked for a minute', async () => {
  const { clock, sessions, begin, ask, counted } = setUp();
  const image = imageOf('a', [10, 20, 30]);
  begin(image);
  deliver(ask(image.layer(1)), 20);
  clock.advance(50_000);
  const last = ask(image.layer(2));
  clock.advance(5 * minute);
  assert.deepEqual(outcomes(sessions), [undefined]);
  deliver(last, 30);
  clock.advance(50_000);
  assert.deepEqual(outcomes(sessions), [undefined]);
  clock.advance(20_000);
  assert.deepEqual(outcomes(sessions), ['partial']);
  assert.deepEqual(states(sessions), [['not requested', 'delivered', 'delivered']]);
  assert.deepEqual(await counted('weir_pulls_total{'), ['weir_pulls_total{runtime="cri-o",outcome="partial"} 1']);
  assert.equal(clock.pending, 0, 'no timer runs for nothing');
});

test('what the client left, or the mirror could not send, is how the pull ended, unless it was resumed', () => {
  const endings = { aborted: 'aborted', failed: 'failed' } as const;
  for (const [how, outcome] of Object.entries(endings)) {
    const { clock, sessions, begin, ask } = setUp();
    const image = imageOf('a', [10, 20]);
    begin(image);
    deliver(ask(image.layer(0)), 10);
    const cut = ask(image.layer(1));
    cut.sent(15);
    cut.end(how as keyof typeof endings);
    assert.deepEqual(states(sessions), [['delivered', how]]);
    clock.advance(70_000);
    assert.deepEqual(outcomes(sessions), [outcome]);
  }
  const { sessions, begin, ask } = setUp();
  const image = imageOf('a', [10, 20]);
  begin(image);
  deliver(ask(image.layer(0)), 10);
  const cut = ask(image.layer(1));
  cut.sent(15);
  cut.end('failed');
  deliver(ask(image.layer(1), {}, 15), 5);
  assert.deepEqual(outcomes(sessions), ['complete']);
});

test('who asks only for manifests and the config pulls nothing, and who mounts parts of layers does not either', async () => {
  const { clock, sessions, begin, ask, counted } = setUp();
  const image = imageOf('a', [10]);
  for (let i = 0; i < 5; i++) {
    begin(image);
    deliver(ask(image.config), 1000);
    deliver(ask(image.layer(0), {}, 'part'), 3);
    clock.advance(2 * minute);
  }
  assert.deepEqual(sessions.pulls(heldOf), []);
  assert.deepEqual(sessions.clients(), []);
  assert.deepEqual(await counted('weir_pulls_total{'), []);
});

test('a manifest that is asked for twice before any layer is one pull', () => {
  const { sessions, begin, ask } = setUp();
  const image = imageOf('a', [10, 20]);
  const connection = {};
  begin(image);
  begin(image, connection);
  assert.equal(ask(image.layer(0), connection).pull, ask(image.layer(1)).pull);
  assert.equal(sessions.pulls(heldOf).length, 1);
});

test('a pull has the name that its client gave it by way of an index', () => {
  const { sessions, begin, ask } = setUp();
  const image = imageOf('a', [10]);
  const contents = {
    mediaType: '',
    manifests: [{ digest: image.digest, size: 1, mediaType: '' }],
    blobs: [],
    layers: [],
  };
  const index = { digest: digestOf(Buffer.from('index')), contents };
  sessions.begin(crio, repository, { ...index, name: `${repository}:v1` }, {});
  sessions.begin(crio, repository, { ...index, name: `${repository}@${index.digest}` }, {});
  begin(image);
  ask(image.layer(0));
  assert.equal(sessions.pulls(heldOf)[0]?.image, `${repository}:v1`);
});

test('pulls of one image behind one address are told apart by their connections', () => {
  const { sessions, begin, ask } = setUp();
  const image = imageOf('a', [10, 20]);
  const [mine, yours] = [{}, {}];
  begin(image, mine);
  const first = ask(image.layer(0), mine);
  begin(image, yours);
  deliver(first, 10);
  const second = ask(image.layer(1), yours);
  assert.notEqual(first.pull, second.pull);
  assert.equal(ask(image.layer(0), yours).pull, second.pull);
  assert.equal(ask(image.layer(1), mine).pull, first.pull);
  assert.equal(sessions.pulls(heldOf).length, 2);
});

test('who asks for the whole of a layer that is on its way, or there, is somebody else', () => {
  const { sessions, begin, ask } = setUp();
  const image = imageOf('a', [10, 20]);
  begin(image);
  begin(image);
  const first = ask(image.layer(0));
  const other = ask(image.layer(0));
  assert.notEqual(first.pull, other.pull);
  deliver(first, 10);
  deliver(other, 10);
  const third = ask(image.layer(0));
  assert.notEqual(third.pull, first.pull);
  assert.notEqual(third.pull, other.pull);
  assert.deepEqual(states(sessions), [
    ['requested', 'not requested'],
    ['delivered', 'not requested'],
    ['delivered', 'not requested'],
  ]);
});

test('a client of another kind at the same address pulls for itself', () => {
  const { begin, ask } = setUp();
  const image = imageOf('a', [10, 20]);
  begin(image);
  begin(image, {}, podman);
  assert.notEqual(ask(image.layer(0)).pull, ask(image.layer(1), {}, 0, podman).pull);
});

test('a stream that is resumed on a new connection goes on where it was', () => {
  const { sessions, begin, ask } = setUp();
  const image = imageOf('a', [100]);
  begin(image);
  const first = ask(image.layer(0));
  const other = ask(image.layer(0));
  first.sent(10);
  other.sent(60);
  assert.equal(ask(image.layer(0), {}, 50).pull, other.pull, 'only this one has so much');
  first.end('aborted');
  assert.equal(ask(image.layer(0), {}, 10).pull, first.pull);
  assert.deepEqual(
    sessions.pulls(heldOf).map(({ layers }) => layers[0]?.sent),
    [50, 10],
  );
});

test('a layer that is taken in parts, several at a time, is one pull', () => {
  const { sessions, begin, ask } = setUp();
  const image = imageOf('a', [40 * mib]);
  begin(image, {}, containerd);
  const part = 8 * mib;
  const [first, ...others] = [0, 1, 2].map((index) => ask(image.layer(0), {}, index * part, containerd));
  for (const stream of others) assert.equal(stream.pull, first?.pull);
  for (const stream of [first, ...others]) {
    stream?.sent(part);
    stream?.end('aborted');
  }
  const [fourth, last] = [3, 4].map((index) => ask(image.layer(0), {}, index * part, containerd));
  fourth?.end('aborted');
  if (last) deliver(last, part);
  assert.deepEqual(outcomes(sessions), ['complete']);
});

test('who asks for one layer again and again leaves few pulls behind', () => {
  const { sessions, begin, ask } = setUp();
  const image = imageOf('a', [10, 20]);
  begin(image);
  for (let index = 0; index < 100; index++) deliver(ask(image.layer(0)), 10);
  assert.equal(outcomes(sessions).filter((outcome) => outcome === undefined).length, 17);
});

test('content that stands in an image twice is asked for twice, or once', () => {
  const { sessions, begin, ask } = setUp();
  const image = imageOf('a', [10, 20, 10], ['same', 'other', 'same']);
  begin(image);
  const [low, high] = [ask(image.layer(0)), ask(image.layer(0))];
  assert.deepEqual([low.layer, high.layer, low.pull], [0, 2, high.pull]);
  high.end('withdrawn');
  deliver(low, 10);
  deliver(ask(image.layer(1)), 20);
  assert.deepEqual(outcomes(sessions), ['complete']);
});

test('a blob of no known manifest is served without a pull', () => {
  const { sessions, ask } = setUp();
  const stream = ask(digestOf(Buffer.from('x')));
  deliver(stream, 10);
  assert.deepEqual([stream.layer, stream.holdUntil(0)], [-1, undefined]);
  assert.deepEqual(sessions.pulls(heldOf), []);
});

// What is held.

const giant = 2000 * mib;
/** A pull at the point where all but the last of three layers is there: at 60 MiB/s, 33 s are left to unpack. */
function nearEnd(watchdog: object = {}, client = crio) {
  const scene = setUp(watchdog);
  const image = imageOf('a', [mib, giant, 32]);
  scene.begin(image, {}, client);
  const [first, second, last] = [0, 1, 2].map((index) => scene.ask(image.layer(index), {}, 0, client));
  if (first && second) for (const stream of [first, second]) deliver(stream, giant);
  if (last === undefined) throw new Error('there is no last layer');
  return { ...scene, image, last };
}

test('the last layer is held for clients that are guarded, by the rate of their network', () => {
  const { clock, last } = nearEnd();
  const until = clock.now() + (giant / (60 * mib)) * 1000 + (mib / (60 * mib)) * 1000 - 5000;
  clock.advance(1000);
  assert.ok(Math.abs((last.holdUntil(clock.now()) ?? 0) - until) < 1);
  clock.advance(60_000);
  assert.equal(last.holdUntil(clock.now()), undefined);
  const slow = nearEnd({ commitRates: { '10.0.0.0/24': '6MiB' } });
  slow.clock.advance(60_000);
  assert.ok(slow.last.holdUntil(slow.clock.now()) !== undefined);
  const off = nearEnd({ guard: 'off' });
  assert.equal(off.last.holdUntil(off.clock.now()), undefined);
  const other = nearEnd({}, podman);
  assert.equal(other.last.holdUntil(other.clock.now()), undefined);
  const always = nearEnd({ guard: 'always' }, podman);
  assert.ok(always.last.holdUntil(always.clock.now()) !== undefined);
});

test('whoever holds is told when that may have changed', () => {
  const { clock, begin, ask } = setUp();
  const image = imageOf('a', [giant, 32, 32]);
  begin(image);
  const low = ask(image.layer(0));
  const high = ask(image.layer(1));
  let told = 0;
  const leave = high.pull.watch(() => told++);
  deliver(low, giant);
  assert.equal(told, 1);
  assert.ok(high.holdUntil(clock.now()) !== undefined);
  const higher = ask(image.layer(2));
  assert.equal(told, 2);
  assert.deepEqual([high.holdUntil(clock.now()), higher.holdUntil(clock.now()) !== undefined], [undefined, true]);
  high.end('aborted');
  assert.deepEqual([told, higher.holdUntil(clock.now())], [3, undefined]);
  leave();
  higher.end('aborted');
  assert.equal(told, 3);
});

test('only the response that brings the end of a layer is held', () => {
  const { clock, begin, ask } = setUp();
  const image = imageOf('a', [giant, 100]);
  begin(image);
  deliver(ask(image.layer(0)), giant);
  const replaced = ask(image.layer(1));
  replaced.sent(50);
  const last = ask(image.layer(1), {}, 40);
  const part = ask(image.layer(1), {}, 'part');
  const held = [replaced, last, part].map((stream) => stream.holdUntil(clock.now()) !== undefined);
  assert.deepEqual(held, [false, true, false]);
});

test('where pulls cannot be told apart, the longer hold counts', () => {
  const { clock, begin, ask } = setUp();
  const image = imageOf('a', [mib, giant, 32]);
  begin(image);
  const firsts = [ask(image.layer(0)), ask(image.layer(0))];
  const [early, late] = [ask(image.layer(1)), ask(image.layer(1))];
  assert.notEqual(early.pull, late.pull);
  for (const stream of firsts) deliver(stream, mib);
  const lasts = [ask(image.layer(2)), ask(image.layer(2))];
  deliver(early, giant);
  clock.advance(20_000);
  let told = 0;
  early.pull.watch(() => told++);
  deliver(late, giant);
  assert.equal(told, 1, 'what happens to one may change the other');
  const [one, other] = lasts.map((stream) => stream.holdUntil(clock.now()));
  assert.ok(one !== undefined && one === other, `${one} and ${other}`);
  assert.ok(one > clock.now() + 25_000, 'as long as the later one needs');
});

test('a pull that can be told from another is not held for it', () => {
  const { clock, begin, ask } = setUp();
  const image = imageOf('a', [giant, 32]);
  const [mine, yours] = [{}, {}];
  begin(image, mine);
  const myGiant = ask(image.layer(0), mine);
  begin(image, yours);
  const yourGiant = ask(image.layer(0), yours);
  deliver(myGiant, giant);
  const myLast = ask(image.layer(1), mine);
  clock.advance(20_000);
  deliver(yourGiant, giant);
  const yourLast = ask(image.layer(1), yours);
  const [a = 0, b = 0] = [myLast.holdUntil(clock.now()), yourLast.holdUntil(clock.now())];
  assert.ok(Math.abs(b - a - 20_000) < 1, `${a} and ${b}`);
});

// What is said of a layer that does not flow, and saved pulls.

const lastLayer = (sessions: Sessions) => sessions.pulls(heldOf)[0]?.layers.at(-1);

test('it is shown why a layer does not flow, and for how long its tail is held', () => {
  const { clock, sessions, last } = nearEnd();
  last.sent(8);
  assert.equal(lastLayer(sessions)?.waitsFor, undefined);
  last.drip();
  last.sent(1);
  assert.deepEqual([lastLayer(sessions)?.waitsFor, lastLayer(sessions)?.drips], ['upstream', 1]);
  last.sent(2);
  assert.equal(lastLayer(sessions)?.waitsFor, undefined);
  last.hold();
  last.drip();
  const { waitsFor, heldFor = 0, drips } = lastLayer(sessions) ?? {};
  assert.deepEqual([waitsFor, drips], ['unpacking', 2]);
  assert.equal(clock.now() + heldFor, Math.round(last.holdUntil(clock.now()) ?? 0));
  last.release();
  assert.equal(lastLayer(sessions)?.waitsFor, undefined);
  last.hold();
  last.end('aborted');
  assert.equal(lastLayer(sessions)?.waitsFor, undefined);
});

test('a pull is saved when nothing but drips flowed for as long as its node waits', () => {
  for (const [client, silence, saved] of [
    [crio, 9000, 0],
    [crio, 10_000, 1],
    [podman, 60_000, 0],
  ] as const) {
    const { clock, sessions, begin, ask } = setUp();
    const image = imageOf('a', [100]);
    begin(image, {}, client);
    const stream = ask(image.layer(0), {}, 0, client);
    stream.sent(8);
    stream.taken();
    for (let passed = 0; passed < silence; passed += 1000) {
      clock.advance(1000);
      stream.drip();
      stream.sent(1);
      stream.taken();
    }
    deliver(stream, 80);
    assert.equal(sessions.pulls(heldOf)[0]?.longestGap, 1000);
    assert.deepEqual([sessions.clients()[0]?.savedPulls, sessions.pulls(heldOf)[0]?.saved], [saved, saved === 1]);
  }
});

test('a pull is saved when its node unpacks for too long after the moment when its last bytes were held', () => {
  for (const [size, later, saved] of [
    [8 * 60 * mib, 0, 0],
    [11 * 60 * mib, 0, 1],
    [11 * 60 * mib, 2000, 0],
  ] as const) {
    const { clock, sessions, begin, ask } = setUp();
    const image = imageOf('a', [size, 32]);
    begin(image);
    const [giantStream, last] = [ask(image.layer(0)), ask(image.layer(1))];
    deliver(giantStream, size);
    clock.advance(later);
    last.hold();
    clock.advance((last.holdUntil(clock.now()) ?? 0) - clock.now());
    last.release();
    deliver(last, 32);
    assert.equal(sessions.clients()[0]?.savedPulls, saved);
  }
});

test('a pull that is repeated as if it had been cancelled counts as saved no longer', () => {
  const { clock, sessions, begin, image, last } = nearEnd();
  last.hold();
  deliver(last, 32);
  assert.deepEqual([sessions.clients()[0]?.savedPulls, sessions.pulls(heldOf)[0]?.saved], [1, true]);
  clock.advance(20_000);
  begin(image);
  const [pull] = sessions.pulls(heldOf);
  assert.deepEqual([sessions.clients()[0]?.savedPulls, pull?.saved, pull?.suspectedKill], [0, false, true]);
});

// Suspected kills.

test('a pull that is repeated as a node does after its watchdog bit is counted, once', async () => {
  const { clock, sessions, begin, image, last, counted } = nearEnd();
  deliver(last, 32);
  clock.advance(9000);
  begin(image);
  assert.deepEqual(await counted('weir_watchdog'), [], 'too early for a watchdog');
  clock.advance(40_000);
  begin(image);
  begin(image);
  assert.deepEqual(await counted('weir_watchdog'), ['weir_watchdog_suspected_kills_total 1']);
  assert.deepEqual(sessions.clients()[0], {
    ...{ address: '10.0.0.1', runtime: 'cri-o', version: '1.31.2', watchdog: 'fixed10' },
    ...{ pulls: 1, savedPulls: 0, suspectedKills: 1 },
  });
});

test('no kill is suspected where no watchdog could bite, where little was left to unpack, or much later', async () => {
  const other = nearEnd({}, podman);
  deliver(other.last, 32);
  other.clock.advance(40_000);
  other.begin(other.image, {}, podman);
  assert.deepEqual(await other.counted('weir_watchdog'), []);
  const idle = nearEnd();
  idle.clock.advance(31_000);
  deliver(idle.last, 32);
  idle.clock.advance(20_000);
  idle.begin(idle.image);
  assert.deepEqual(await idle.counted('weir_watchdog'), []);
  const late = nearEnd();
  deliver(late.last, 32);
  late.clock.advance(10 * minute);
  late.begin(late.image);
  assert.deepEqual(await late.counted('weir_watchdog'), []);
  const unfinished = nearEnd();
  unfinished.clock.advance(40_000);
  unfinished.begin(unfinished.image);
  assert.deepEqual(await unfinished.counted('weir_watchdog'), []);
});

// Promises.

test('what a manifest names is promised to who asked for it, for a quarter of an hour', () => {
  const { clock, sessions, begin } = setUp();
  const image = imageOf('a', [10]);
  begin(image);
  const promised = (digest: Digest, client = crio, name = repository) => sessions.isPromised(client, name, digest);
  assert.ok(promised(image.config) && promised(image.layer(0)));
  assert.equal(promised(image.layer(0), podman), false);
  assert.equal(promised(image.layer(0), crio, 'docker.io/team/other'), false);
  assert.equal(promised(digestOf(Buffer.from('x'))), false);
  assert.equal(sessions.active, true);
  clock.advance(10 * minute);
  assert.equal(sessions.active, false);
  assert.equal(promised(image.layer(0)), true, 'and this is a sign of life');
  assert.equal(sessions.active, true);
  clock.advance(10 * minute);
  assert.equal(promised(image.layer(0)), true);
  clock.advance(15 * minute);
  assert.equal(promised(image.layer(0)), false);
});

test('a pull that waits for what it has asked for is active, however long that takes', () => {
  const { clock, sessions, begin, ask } = setUp();
  const image = imageOf('a', [10, 20]);
  begin(image);
  const stream = ask(image.layer(0));
  clock.advance(minute);
  assert.equal(sessions.active, true);
  deliver(stream, 10);
  assert.equal(sessions.active, false);
});

test('a pull that is under way is not forgotten, however long it takes', () => {
  const { clock, sessions, begin, ask } = setUp();
  const image = imageOf('a', [giant, 32]);
  begin(image);
  const long = ask(image.layer(0));
  clock.advance(120 * minute);
  assert.equal(sessions.isPromised(crio, repository, image.layer(1)), true);
  assert.equal(ask(image.layer(1)).pull, long.pull);
});

test('however many ask, memory stays bounded, and the latest are remembered', () => {
  const { sessions, begin } = setUp();
  const small = imageOf('small', [1]);
  const large = imageOf(
    'large',
    Array.from({ length: 3000 }, () => 1),
  );
  const clientAt = (index: number) => ({ ...crio, address: `10.1.${index >> 8}.${index & 255}` });
  for (let index = 0; index < 300; index++) begin(small, {}, clientAt(index));
  for (let index = 0; index < 300; index++) begin(large, {}, clientAt(index));
  assert.equal(sessions.isPromised(clientAt(0), repository, large.layer(0)), false);
  assert.equal(sessions.isPromised(clientAt(299), repository, large.layer(0)), true);
});

test('of one client, the latest promises are remembered', () => {
  const { sessions, begin } = setUp();
  const images = Array.from({ length: 6 }, (_, index) =>
    imageOf(
      `image ${index}`,
      Array.from({ length: 2000 }, () => 10),
    ),
  );
  for (const image of images) begin(image);
  const remembered = images.map((image) => sessions.isPromised(crio, repository, image.layer(1000)));
  assert.deepEqual(remembered, [false, true, true, true, true, true]);
});

test('pulls that have ended are shown for a while', () => {
  const { sessions, begin, ask } = setUp();
  const images = Array.from({ length: 250 }, (_, index) => imageOf(`image ${index}`, [10]));
  for (const image of images) {
    begin(image);
    deliver(ask(image.layer(0)), 10);
  }
  assert.deepEqual(
    sessions.pulls(heldOf).map(({ digest }) => digest),
    images
      .slice(50)
      .toReversed()
      .map(({ digest }) => digest),
  );
});

test('an image of a great many layers is followed as far as that is sensible', () => {
  const { sessions, begin, ask } = setUp();
  const large = imageOf(
    'large',
    Array.from({ length: 1500 }, () => 1),
  );
  begin(large);
  const streams = [ask(large.layer(0)), ask(large.layer(1400))];
  assert.deepEqual(
    streams.map(({ layer }) => layer),
    [0, -1],
  );
  assert.equal(streams[0]?.pull, streams[1]?.pull);
  assert.equal(sessions.pulls(heldOf)[0]?.layers.length, 1024);
});
