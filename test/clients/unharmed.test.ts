import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Containerd, containerdPrograms } from '../support/containerd.ts';
import { ContainersStorage } from '../support/containers-storage.ts';
import { lacking } from '../support/lacking.ts';
import type { Outcome } from '../support/program.ts';
import { imagePrograms, repository } from '../support/real-image.ts';
import { type RealScene, setRealScene } from '../support/real-scene.ts';
import { writeRegistriesConf } from '../support/registries-conf.ts';

/** By this model, the image would be unpacked for minutes, and its last layer held as long. */
const watchdog = { timeout: '1s', drip: '200ms', commitRate: '16KiB' };
const rounds = 3;

type PullInto = (scene: RealScene) => Promise<Outcome>;

/** Milliseconds of the quickest of some pulls from each mirror, in turns, once they have everything. */
async function quickest(scenes: readonly RealScene[], pull: PullInto): Promise<number[]> {
  const times = scenes.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [index, scene] of scenes.entries()) {
      const startedAt = performance.now();
      const { code, stderr } = await pull(scene);
      assert.equal(code, 0, stderr);
      if (round > 0) times[index]?.push(performance.now() - startedAt);
    }
  }
  return times.map((each) => Math.min(...each));
}

async function assertUnharmed(t: TestContext, pull: PullInto): Promise<void> {
  const off = await setRealScene(t, {}, { watchdog: { ...watchdog, guard: 'off' } });
  const auto = await setRealScene(t, {}, { watchdog: { ...watchdog, guard: 'auto' } });
  const [without = 0, withGuard = 0] = await quickest([off, auto], pull);
  const ratio = withGuard / without;
  t.diagnostic(`${withGuard.toFixed(0)} ms, and ${without.toFixed(0)} ms with guard: off: ${ratio.toFixed(2)} ×`);
  assert.match(await auto.mirror.metrics(), /^weir_holds_total 0$/m);
  // What a busy machine adds to either; a hold would add minutes.
  assert.ok(withGuard < 1.5 * without + 2000, `${ratio} ×`);
}

test('containerd loses no time to the guard', {
  skip: lacking([...imagePrograms, ...containerdPrograms], { root: true }),
}, async (t) => {
  await assertUnharmed(t, async ({ authority }) => {
    const containerd = await Containerd.start();
    try {
      return await containerd.pull({ mirrors: [`http://${authority}`] }, `${repository}:v1`);
    } finally {
      await containerd.stop();
    }
  });
});

test('podman loses no time to the guard', {
  skip: lacking([...imagePrograms, 'podman'], { root: true }),
}, async (t) => {
  await assertUnharmed(t, ({ authority }) =>
    new ContainersStorage('podman', writeRegistriesConf([authority])).pull(`docker.io/${repository}:v1`),
  );
});
