import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CommitSettings, holdOf, type ModelledLayer } from '../../../src/pulls/commit-model.ts';
import { judgeImage } from '../../../src/pulls/verdict.ts';

const mb = 1_000_000;
const settings: CommitSettings = { timeout: 10_000, commitRate: 80 * mb, maxHold: 300_000 };

test('an image that unpacks within the timeout is safe, whoever serves it', () => {
  const { outcome, total, held } = judgeImage([300 * mb, 100 * mb], settings);
  assert.deepEqual([outcome, total, held], ['safe', 5000, 0]);
  assert.deepEqual(judgeImage([0, 0], settings), {
    ...{ outcome: 'safe', last: undefined, alone: 0, total: 0, held: 0, rateNeeded: 0 },
  });
});

test('a giant below a tiny last layer is saved: the image of the measurement', () => {
  const { outcome, last, alone, total, held } = judgeImage([10 * mb, 3200 * mb, 2_600_000], settings);
  assert.deepEqual([outcome, last], ['saved', 2]);
  assert.ok(total > 40_000 && alone < 100 && Math.abs(held - (total - 5000)) < 1, `${held} of ${total} ms`);
});

test('a giant last layer is lost, and it is said how fast a node would have to be', () => {
  const { outcome, last, alone, rateNeeded } = judgeImage([10 * mb, 3200 * mb], settings);
  assert.deepEqual([outcome, last, alone, rateNeeded], ['lost', 1, 40_000, 320 * mb]);
  assert.equal(judgeImage([10 * mb, 3200 * mb], { ...settings, commitRate: rateNeeded }).outcome, 'saved');
  assert.equal(judgeImage([3200 * mb], settings).outcome, 'lost');
  assert.equal(judgeImage([3200 * mb, 0], settings).last, 0);
});

test('the guard holds no longer than it may, nor than the last layer has bytes for', () => {
  assert.equal(judgeImage([3200 * mb, 5000], { ...settings, maxHold: 20_000 }).outcome, 'lost');
  assert.equal(judgeImage([3200 * mb, 5000], { ...settings, maxHold: 31_000 }).outcome, 'saved');
  // 24 bytes, one each 4 s.
  assert.equal(judgeImage([8000 * mb, 32], settings).outcome, 'saved');
  assert.equal(judgeImage([9000 * mb, 32], settings).outcome, 'lost');
  assert.equal(judgeImage([900 * mb, 8], settings).outcome, 'lost');
});

/** How long the node is silent after the last byte when all of an image comes at once, but for what the model holds. */
function silenceAfter(sizes: readonly number[], model: CommitSettings): number {
  const end = (layers: readonly number[]) => (layers.reduce((sum, size) => sum + size, 0) / model.commitRate) * 1000;
  const layer = (size: number, index: number): ModelledLayer => ({
    size,
    requestedAt: 0,
    deliveredAt: index === sizes.length - 1 ? undefined : 0,
    aborted: false,
  });
  const released = holdOf(sizes.map(layer), model, 0)?.until ?? 0;
  return Math.max(released, end(sizes.slice(0, -1))) + end(sizes.slice(-1)) - released;
}

test('the verdict is what the model comes to', () => {
  const size = fc.oneof(fc.integer({ min: 5000, max: 50_000 }), fc.integer({ min: 5000, max: 3000 * mb }));
  const model = fc.record({
    timeout: fc.constantFrom(1000, 10_000),
    commitRate: fc.integer({ min: mb, max: 500 * mb }),
    maxHold: fc.constantFrom(0, 10_000, 300_000),
  });
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(size, { minLength: 1, maxLength: 8 }), model, (sizes, model) => {
      const { outcome, held } = judgeImage(sizes, model);
      seen.add(outcome);
      const silence = silenceAfter(sizes, model);
      const nearly = 0.001;
      if (outcome === 'lost') assert.ok(silence >= model.timeout - nearly, `${silence} ms`);
      else assert.ok(silence <= model.timeout + nearly, `${silence} ms`);
      const unheld = silenceAfter(sizes, { ...model, maxHold: 0 });
      assert.equal(unheld <= model.timeout, outcome === 'safe');
      assert.ok(Math.abs(unheld - silence - held) < 0.01, `${held} ms`);
    }),
    { numRuns: 2000 },
  );
  assert.equal(seen.size, 3);
});
