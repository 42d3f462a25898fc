import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Approach, type Attempt } from '../../../src/cache/approach.ts';
import { Metrics } from '../../../src/metrics/metrics.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { UpstreamError, type UpstreamFailure } from '../../../src/upstream/errors.ts';
import { Routes } from '../../../src/upstream/routes.ts';
import { FakeClock } from '../../support/clock.ts';
import { collectLog, settingsOf } from '../../support/mirror.ts';

const digest = digestOf(Buffer.from('x'));
const both = ['https://a.test', 'https://b.test'];

/** The approach to a blob that `team/app` has, at these endpoints. */
class Scene {
  readonly clock = new FakeClock();
  readonly approach: Approach;
  readonly #began = this.clock.now();

  constructor(t: TestContext, endpoints: readonly string[], giveUp = '1h') {
    const settings = settingsOf({ upstreams: { 'up.test': { endpoints, giveUp } } });
    const routes = new Routes(settings, this.clock, collectLog([]), new Metrics());
    t.after(() => routes.close());
    const registry = routes.registries.find(({ name }) => name === 'up.test') ?? assert.fail();
    this.approach = new Approach(registry, this.clock, { avoid: new Set(), alone: false });
    this.approach.add(registry.blob('team/app', digest));
  }

  get passed(): number {
    return this.clock.now() - this.#began;
  }

  next(): Attempt {
    return this.approach.next() ?? assert.fail();
  }

  /** Whoever is next fails. @returns whether there is any use in going on. */
  fail(kind: UpstreamFailure = 'reset', retryAfterMs?: number): boolean {
    return this.approach.failed(this.next(), failure(kind, retryAfterMs));
  }

  /** Fails, and waits, so often. @returns the pauses. */
  pauses(count: number): number[] {
    return Array.from({ length: count }, () => {
      this.fail();
      const { pause } = this.approach;
      this.clock.advance(pause);
      return pause;
    });
  }
}

function failure(kind: UpstreamFailure, retryAfterMs?: number): UpstreamError {
  return new UpstreamError('up.test', kind, 'no', { retryAfterMs });
}

test('every endpoint has its turn before the first pause; pauses double, to five seconds', (t) => {
  const growing = [100, 200, 400, 800, 1600, 3200, 5000, 5000];
  assert.deepEqual(new Scene(t, ['https://a.test']).pauses(8), growing);
  const scene = new Scene(t, both);
  assert.equal(scene.next().endpoint, both[0]);
  assert.deepEqual(scene.pauses(1), [0]);
  assert.equal(scene.next().endpoint, both[1]);
  assert.deepEqual(scene.pauses(8), growing);
  assert.deepEqual(new Scene(t, [...both, 'https://c.test']).pauses(4), [0, 0, 100, 200]);
});

test('attempts that fail at the same time are one failure', (t) => {
  const scene = new Scene(t, ['https://a.test']);
  for (let count = 0; count < 5; count++) scene.fail();
  assert.equal(scene.approach.pause, 100);
  scene.clock.advance(99);
  scene.fail();
  assert.equal(scene.approach.pause, 1);
  scene.clock.advance(1);
  assert.deepEqual(scene.pauses(2), [200, 400]);
});

test('after new bytes, pauses begin anew', (t) => {
  const scene = new Scene(t, both);
  assert.deepEqual(scene.pauses(5), [0, 100, 200, 400, 800]);
  scene.fail();
  assert.equal(scene.approach.pause, 1600);
  scene.approach.succeeded(scene.next());
  assert.equal(scene.approach.pause, 0);
  assert.deepEqual(scene.pauses(3), [0, 100, 200]);
});

test('there is hope until giveUp has passed since the first failure, and none after; new bytes bring it back', (t) => {
  const scene = new Scene(t, both, '10s');
  scene.clock.advance(60_000);
  const silent = () => scene.approach.stalled(scene.next(), failure('timeout'));
  assert.equal(scene.fail(), true);
  scene.clock.advance(9999);
  assert.deepEqual([scene.fail(), silent()], [true, true]);
  scene.clock.advance(1);
  assert.deepEqual([scene.fail(), silent()], [false, false]);
  scene.approach.succeeded(scene.next());
  assert.equal(scene.fail(), true);
  scene.clock.advance(9999);
  assert.equal(silent(), true);
  scene.clock.advance(1);
  assert.equal(silent(), false);
});

test('whoever is silent holds up nobody: the next one is asked without a pause', (t) => {
  const scene = new Scene(t, both);
  for (const endpoint of [both[0], both[1], both[0]]) {
    const attempt = scene.next();
    assert.equal(attempt.endpoint, endpoint);
    assert.equal(scene.approach.stalled(attempt, failure('timeout')), true);
    assert.equal(scene.approach.pause, 0);
  }
});

test('what is limited waits as long as it was told: it is asked only where nobody else is left, and not before', (t) => {
  const scene = new Scene(t, both);
  assert.equal(scene.fail('limited', 30_000), true);
  assert.deepEqual([scene.next().endpoint, scene.approach.pause], [both[1], 0]);
  assert.equal(scene.fail('limited', 10_000), true);
  assert.deepEqual([scene.next().endpoint, scene.approach.pause], [both[1], 10_000]);
  scene.clock.advance(10_000);
  assert.equal(scene.fail('limited', 60_000), true);
  assert.deepEqual([scene.next().endpoint, scene.approach.pause], [both[0], 20_000]);
  scene.clock.advance(20_000);
  scene.approach.succeeded(scene.next());
  assert.deepEqual([scene.next().endpoint, scene.approach.pause], [both[0], 0]);
});

test('what is refused is not asked for again; with the last one there is no use in going on', (t) => {
  for (const kind of ['absent', 'denied', 'forbidden'] as const) {
    const scene = new Scene(t, both);
    assert.equal(scene.fail(kind), true);
    for (let count = 0; count < 5; count++) {
      assert.equal(scene.next().endpoint, both[1], kind);
      assert.equal(scene.fail(), true);
      scene.clock.advance(scene.approach.pause);
    }
    assert.equal(scene.fail(kind), false);
    assert.equal(scene.approach.next(), undefined);
  }
});

test('whoever waits for the end of a pause is called then, and not a moment before, also where it grows', (t) => {
  const scene = new Scene(t, ['https://a.test']);
  const calls: number[] = [];
  const call = () => calls.push(scene.passed);
  scene.approach.afterPause(call);
  assert.deepEqual(calls, [0]);
  scene.fail();
  scene.approach.afterPause(call);
  scene.clock.advance(99);
  assert.deepEqual(calls, [0]);
  scene.clock.advance(1);
  assert.deepEqual(calls, [0, 100]);
  scene.fail();
  scene.approach.afterPause(call);
  scene.clock.advance(50);
  scene.fail('limited', 700);
  scene.clock.advance(699);
  assert.deepEqual(calls, [0, 100]);
  scene.clock.advance(1);
  assert.deepEqual([calls, scene.clock.pending], [[0, 100, 850], 0]);
});
