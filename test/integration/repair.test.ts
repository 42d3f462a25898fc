import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { type ClientAnswer, fetchRaw } from '../support/client.ts';
import {
  always,
  endEarly,
  type Fault,
  ignoreRange,
  noLength,
  resetAfter,
  stallAfter,
  status,
  wrongRange,
} from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { startMirror, type TestMirror, upstreamConfig } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';
import { until } from '../support/until.ts';

const drip = 200;
/** What an overloaded machine may add to a gap. */
const slack = 1500;
const size = 4_000_000;

interface Stage {
  readonly registries: readonly FakeRegistry[];
  readonly layer: Buffer;
  readonly url: string;
  readonly mirror: TestMirror;
}

/** A mirror of an upstream with so many endpoints, all of which have the same image. */
async function setStage(t: TestContext, endpoints: number, upstream: object = {}): Promise<Stage> {
  const image = makeImage(size);
  const registries: FakeRegistry[] = [];
  for (let count = 0; count < endpoints; count++) {
    const registry = await FakeRegistry.start();
    t.after(() => registry.close());
    registry.push('team/app', 'v1', image);
    registries.push(registry);
  }
  const urls = registries.map(({ url }) => url);
  const config = { ...upstreamConfig(urls, { stallTimeout: '500ms', ...upstream }), watchdog: { drip: `${drip}ms` } };
  const mirror = await startMirror(t, { config });
  await fetchRaw(`${mirror.url}/v2/team/app/manifests/v1`);
  const [layer = Buffer.alloc(0)] = image.layers;
  return { registries, layer, mirror, url: `${mirror.url}/v2/team/app/blobs/${digestOf(layer)}` };
}

const isWhole = ({ complete, body }: ClientAnswer, layer: Buffer) => complete && body.equals(layer);
const sentBy = (registries: readonly FakeRegistry[]) => registries.reduce((sum, { blobBytes }) => sum + blobBytes, 0);

const faults: Readonly<
  Record<string, { readonly reason: string; readonly make: (offset: number, before: number) => Fault }>
> = {
  stall: { reason: 'stall', make: (offset) => stallAfter(offset, 60_000) },
  reset: { reason: 'reset', make: (offset) => resetAfter(offset) },
  'end before the end': { reason: 'short', make: (offset) => endEarly(offset) },
  'status 503': { reason: 'status', make: (_offset, before) => status(503, { only: after(before) }) },
  'wrong Content-Range': { reason: 'status', make: () => wrongRange() },
};
/** No silence of an overloaded machine is taken for a stall. */
const calm = { stallTimeout: '60s' };
/** Where something goes wrong, and how many requests are answered well before, where it is an answer that is wrong. */
const places = { 'the first byte': [1, 0], '1 MiB': [1024 * 1024, 1], 'the last span': [size - 10, 2] } as const;

/** Requests for blobs, but for so many of them. */
function after(before: number): (path: string) => boolean {
  let asked = 0;
  return (path) => path.includes('/blobs/') && asked++ >= before;
}

for (const [name, { reason, make }] of Object.entries(faults)) {
  for (const [place, [offset, before]] of Object.entries(places)) {
    for (const endpoints of [1, 2]) {
      test(`${name} at ${place} is repaired, with ${endpoints} endpoints`, async (t) => {
        const { registries, layer, url, mirror } = await setStage(t, endpoints, reason === 'stall' ? {} : calm);
        registries[0]?.faults.push(make(offset, before));
        const began = performance.now();
        const answer = await fetchRaw(url);
        assert.ok(isWhole(answer, layer));
        // Without a second worker, it would take until the first one's connection is given up.
        assert.ok(performance.now() - began < 15_000, `${performance.now() - began} ms`);
        assert.ok(answer.longestGap < drip + slack, `${answer.longestGap} ms`);
        assert.match(await mirror.metrics(), new RegExp(`weir_upstream_repairs_total\\{reason="${reason}"\\} [1-9]`));
        assert.ok(sentBy(registries) <= (reason === 'stall' ? 2.5 : 1.4) * size, `${sentBy(registries)} bytes`);
        const line = mirror.log.find(({ fields }) => fields['reason'] === reason);
        assert.equal(line?.fields['endpoint'], registries[0]?.url);
        assert.equal(line?.fields['action'], reason === 'stall' ? 'hedge' : 'retry');
        assert.equal(typeof line?.fields['offset'], 'number');
      });
    }
  }
}

for (const [name, make] of [
  ['stalls', (offset: number) => stallAfter(offset, 60_000)],
  ['is cut', (offset: number) => endEarly(offset)],
] as const) {
  test(`an upstream without Range that ${name} is read again, and what is there is passed over`, async (t) => {
    const { registries, layer, url } = await setStage(t, 1);
    registries[0]?.faults.push(ignoreRange(), make(size / 2));
    const answer = await fetchRaw(url);
    assert.ok(isWhole(answer, layer));
    assert.ok(answer.longestGap < drip + slack, `${answer.longestGap} ms`);
    assert.ok(sentBy(registries) <= 2.2 * size, `${sentBy(registries)} bytes`);
  });
}

const cuts = { 'a FIN': endEarly, 'a reset': resetAfter };
const rangeless = { 'in parts': [], 'as a whole': [ignoreRange] };

for (const [how, cut] of Object.entries(cuts)) {
  for (const [shape, more] of Object.entries(rangeless)) {
    test(`a body in chunks, sent ${shape}, that ${how} cuts in its middle comes whole`, async (t) => {
      const { registries, layer, url, mirror } = await setStage(t, 1, calm);
      const fault = cut(size / 2);
      registries[0]?.faults.push(noLength(), ...more.map((make) => make()), fault);
      const answer = await fetchRaw(url);
      assert.deepEqual([answer.status, answer.headers['content-length']], [200, String(size)]);
      assert.ok(isWhole(answer, layer));
      assert.equal(fault.times, 0);
      // What has no ranges is sent again from its beginning.
      assert.ok(sentBy(registries) <= (more.length === 0 ? 1.4 : 2.2) * size, `${sentBy(registries)} bytes`);
      assert.match(await mirror.metrics(), /weir_upstream_repairs_total\{reason="(?:reset|short)"\} [1-9]/);
    });
  }
}

test('a hedge goes to the next endpoint, and the silent request is given up once the hedge delivers', async (t) => {
  const { registries, layer, url } = await setStage(t, 2, { connections: 1 });
  const [first = assert.fail(), second = assert.fail()] = registries;
  const fault = stallAfter(1_500_000, 600_000);
  first.faults.push(fault);
  assert.ok(isWhole(await fetchRaw(url), layer));
  assert.ok(second.blobRequests.length >= 1);
  assert.equal(fault.times, 0);
  await until(() => first.blobRequests.some(({ aborted, sent }) => aborted && sent < size));
  assert.deepEqual(
    second.blobRequests.filter(({ aborted }) => aborted),
    [],
  );
});

test('an upstream that freezes altogether is given up after giveUp, and not before', async (t) => {
  const { registries, url } = await setStage(t, 1, { giveUp: '1200ms' });
  registries[0]?.faults.push(
    stallAfter(1_000_000, 60_000, { times: always }),
    stallAfter(0, 60_000, { times: always }),
  );
  const answer = await fetchRaw(url);
  assert.ok(answer.status === 504 || answer.ending === 'FIN', `${answer.status} ${answer.ending}`);
});
