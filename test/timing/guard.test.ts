import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { type GuardCase, type GuardTrial, giantSize, layersWith, podman, tryGuard } from '../support/guard-trial.ts';
import { unlessHeldUp } from '../support/held-up.ts';
import { setScene } from '../support/scene.ts';

const killedWhileUnpacking = 'copying system image from manifest list: copying config: context canceled';
/** A guarded pull takes hardly longer than one without a watchdog; what is more is left to a noisy machine. */
const ratioAtMost = 1.4;

type Trial = GuardCase & GuardTrial & { readonly what: string };

const giantAt = (giant: number, count: number, rate = 1) => ({
  layers: layersWith(giant, count),
  rate,
  what: `${giant + 1} of ${count} at ${rate} ×`,
});

function assertSaved(t: TestContext, trials: readonly Trial[]): void {
  for (const { guarded, unguarded, free, ratio, rate, what } of trials) {
    assert.ok(unguarded.cancelled, what);
    assert.deepEqual([guarded.error, free.error], [undefined, undefined], what);
    assert.ok(ratio <= ratioAtMost * Math.max(1, rate), `${what}: ${ratio.toFixed(2)} times as long`);
  }
  const ratios = trials.map(({ what, ratio }) => `${what}: ${ratio.toFixed(2)}`);
  t.diagnostic(`time, as a part of the same pull without a watchdog: ${ratios.join(', ')}`);
}

test('a node that unpacks for three times its watchdog fails as was reported; guarded, it succeeds as fast as without a watchdog', async (t) => {
  const layers = [10_000, giantSize, 2600];
  const trials = await unlessHeldUp(t, () => tryGuard(t, [{ layers, rate: 1, what: 'small, huge, small' }]));
  assert.equal(trials[0]?.unguarded.error, killedWhileUnpacking);
  assertSaved(t, trials);
});

test('wherever the giant is among how many layers, but last: the guard saves the pull', async (t) => {
  const few = [giantAt(0, 2), giantAt(1, 3, 2), giantAt(0, 6), giantAt(4, 6), giantAt(3, 7), giantAt(5, 7)];
  assertSaved(t, await unlessHeldUp(t, () => tryGuard(t, [...few, giantAt(38, 40)])));
});

test('a giant at the end and a node far slower than assumed cannot be saved: the retry asks for no layer', async (t) => {
  const hopeless = [giantAt(0, 1), giantAt(2, 3), giantAt(7, 8), giantAt(1, 3, 0.5)];
  const trials = await unlessHeldUp(t, () => tryGuard(t, hopeless));
  for (const { guarded, retry, retriedLayers, what } of trials) {
    assert.equal(guarded.error, killedWhileUnpacking, what);
    assert.deepEqual([retry?.error, retriedLayers], [undefined, 0], what);
    assert.ok((retry?.ms ?? Number.POSITIVE_INFINITY) < 1000, `${what}: ${retry?.ms} ms`);
  }
});

test('clients without such a watchdog are held nothing, and lose no time', async (t) => {
  const layers = [10_000, 1_000_000, 32];
  const pullTime = async (guard: string, agent: string) => {
    const config = { watchdog: { timeout: '1s', drip: '100ms', commitRate: '64KiB', guard } };
    const { blobUrl, image, manifestUrl, mirror } = await setScene(t, { layers, config });
    const headers = { 'user-agent': agent };
    await fetchRaw(manifestUrl, { headers });
    const startedAt = performance.now();
    const digests = [...image.blobs.keys()].slice(1);
    const answers = await Promise.all(digests.map((digest) => fetchRaw(blobUrl(digest), { headers })));
    const ms = performance.now() - startedAt;
    assert.deepEqual(
      answers.map(({ body }) => body.length),
      layers,
    );
    assert.match(await mirror.metrics(), /^weir_holds_total 0$/m);
    return ms;
  };
  for (const agent of ['containerd/v2.1.4', podman]) {
    const off = await pullTime('off', agent);
    const auto = await pullTime('auto', agent);
    t.diagnostic(`${agent}: ${(auto / off).toFixed(2)} times as long as without the guard`);
    // Held, it would have been a quarter of a minute.
    assert.ok(auto < 3 * off + 2000, `${agent}: ${auto} ms, and ${off} ms without the guard`);
  }
});
