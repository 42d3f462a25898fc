import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { PullView } from '../../src/pulls/pull-view.ts';
import { fetchRaw } from '../support/client.ts';
import { CrioNode } from '../support/crio-node.ts';
import { makeImage } from '../support/images.ts';
import { Line } from '../support/line.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';
import { until } from '../support/until.ts';

const megabyte = 1_000_000;

/** A mirror at the end of a line, and images that it does not have yet. */
async function setLine(t: TestContext, rate: number, images: Readonly<Record<string, readonly number[]>>, more = {}) {
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  for (const [name, sizes] of Object.entries(images)) upstream.push(`team/${name}`, 'v1', makeImage(...sizes));
  const line = await Line.open(t, upstream.url, rate);
  const mirror = await startMirror(t, { config: upstreamConfig(line.url, more) });
  const pull = async (name: string) => {
    const node = new CrioNode({ commitRate: Number.POSITIVE_INFINITY, watchdog: undefined });
    return (await node.pull(`${mirror.url}/v2/team/${name}/manifests/v1`)).ms;
  };
  /** Bytes that a node has got. */
  const got = async (name: string) => {
    const pulls: readonly PullView[] = JSON.parse((await fetchRaw(`${mirror.adminUrl}/api/pulls`)).body.toString());
    const layers = pulls.filter(({ image }) => image === `up.test/team/${name}:v1`).flatMap((each) => each.layers);
    return layers.reduce((sum, { sent }) => sum + sent, 0);
  };
  return { pull, got };
}

test('a small pull that starts beside a huge one gets half of the upstream: at most three times its time alone', async (t) => {
  const small = [2 * megabyte, 2 * megabyte, 2 * megabyte];
  const { pull, got } = await setLine(t, 2 * megabyte, {
    first: [1000],
    alone: small,
    huge: [200 * megabyte],
    beside: small,
  });
  await pull('first');
  const alone = await pull('alone');
  void pull('huge');
  await until(async () => (await got('huge')) > 3 * megabyte);
  const beside = await pull('beside');
  t.diagnostic(`${alone.toFixed(0)} ms alone, ${beside.toFixed(0)} ms beside: ${(beside / alone).toFixed(2)} ×`);
  // Half of the upstream is twice the time; it begins when what the huge one has under way is there: two seconds at most.
  assert.ok(beside <= 3 * alone, `${beside / alone} ×`);
  assert.ok((await got('huge')) < 200 * megabyte);
});

test('a huge pull that goes on for long is not starved by one that starts later', async (t) => {
  const { pull, got } = await setLine(t, 4 * megabyte, { old: [100 * megabyte], young: [100 * megabyte] });
  void pull('old');
  await until(async () => (await got('old')) > 8 * megabyte);
  void pull('young');
  await until(async () => (await got('young')) > 2 * megabyte);
  const before = { old: await got('old'), young: await got('young') };
  await until(async () => (await got('young')) - before.young > 4 * megabyte);
  const [old, young] = [(await got('old')) - before.old, (await got('young')) - before.young];
  const part = old / (old + young);
  t.diagnostic(`the older one gets ${part.toFixed(2)} of the upstream`);
  assert.ok(part > 0.25 && part < 0.75, `${part}`);
});

test('more pulls than connections take turns', async (t) => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const sizes = Object.fromEntries(names.map((name) => [name, [50 * megabyte]]));
  const { pull, got } = await setLine(t, 4 * megabyte, sizes, { connections: 3 });
  for (const name of names) void pull(name);
  await until(async () => Math.max(...(await Promise.all(names.map(got)))) > 4 * megabyte);
  const each = await Promise.all(names.map(got));
  t.diagnostic(each.join(' '));
  assert.ok(Math.min(...each) * 4 > Math.max(...each), each.join(', '));
});
