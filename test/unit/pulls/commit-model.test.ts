import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CommitSettings, holdOf, type ModelledLayer } from '../../../src/pulls/commit-model.ts';

const mb = 1_000_000;
/** 100 MB/s: a layer of 100 MB takes a second. */
const settings: CommitSettings = { timeout: 10_000, commitRate: 100 * mb, maxHold: 300_000 };

const present = (size: number): ModelledLayer => ({
  size,
  requestedAt: undefined,
  deliveredAt: undefined,
  aborted: false,
});
const open = (size: number, requestedAt = 0): ModelledLayer => ({ ...present(size), requestedAt });
const delivered = (size: number, deliveredAt: number): ModelledLayer => ({ ...open(size), deliveredAt });
const aborted = (size: number): ModelledLayer => ({ ...open(size), aborted: true });

test('a tiny last layer is held until half the timeout of unpacking is left', () => {
  const layers = [delivered(10 * mb, 500), delivered(3000 * mb, 1000), open(32)];
  // 0.5 s + 0.1 s, but the huge one is there only at 1 s; 30 s of work from then on.
  const until = 1000 + 30_000 - (5000 - 0.00032);
  assert.deepEqual(holdOf(layers, settings, 1000), { layer: 2, until });
  assert.deepEqual(holdOf(layers, settings, until - 1), { layer: 2, until });
  assert.equal(holdOf(layers, settings, until), undefined);
});

test('a last layer that is itself more than half the timeout of work is held until it is all that is left', () => {
  const layers = [delivered(1000 * mb, 1000), open(700 * mb)];
  assert.deepEqual(holdOf(layers, settings, 2000), { layer: 1, until: 11_000 });
  assert.equal(holdOf(layers, settings, 11_000), undefined);
});

test('while a large layer below is missing, the last one is held until something happens', () => {
  const layers = [delivered(mb, 100), open(600 * mb), open(32)];
  assert.deepEqual(holdOf(layers, settings, 3_600_000), { layer: 2, until: Number.POSITIVE_INFINITY });
});

test('little that is missing below does not hold the last layer', () => {
  assert.equal(holdOf([delivered(mb, 100), open(10 * mb), open(32)], settings, 5000), undefined);
  // But what is still being unpacked below it does, for as long as that takes.
  const layers = [delivered(1000 * mb, 1000), open(10 * mb), open(100 * mb)];
  const hold = holdOf(layers, settings, 3000);
  assert.ok(hold && Math.abs(hold.until - (11_000 + 100 - 4000)) < 0.001, `${hold?.until}`);
});

test('the longest hold counts from the last delivery below', () => {
  const layers = [delivered(90_000 * mb, 1000), delivered(1, 2000), open(32)];
  assert.deepEqual(holdOf(layers, settings, 3000), { layer: 2, until: 302_000 });
  assert.equal(holdOf(layers, settings, 302_000), undefined);
});

test('only the highest layer that was asked for is held', () => {
  const below = [delivered(3000 * mb, 1000), open(32)];
  assert.equal(holdOf([...below, present(32)], settings, 2000)?.layer, 1);
  assert.equal(holdOf([...below, open(32, 1500)], settings, 2000)?.layer, 2);
  assert.equal(holdOf([...below, delivered(32, 1500)], settings, 2000), undefined);
});

test('a node that has no free slot may ask for the next layer, and nothing is held', () => {
  const layers = (count: number) => [delivered(3000 * mb, 1000), ...Array.from({ length: count }, () => open(32))];
  assert.equal(holdOf([...layers(5), present(32)], settings, 2000)?.layer, 5);
  assert.equal(holdOf([...layers(6), present(32)], settings, 2000), undefined);
  assert.equal(holdOf(layers(6), settings, 2000)?.layer, 6);
  assert.equal(holdOf([...layers(6), present(0)], settings, 2000)?.layer, 6);
});

test('nothing is held when the node has given up a layer', () => {
  assert.equal(holdOf([delivered(3000 * mb, 1000), aborted(mb), open(32)], settings, 2000), undefined);
  assert.equal(holdOf([delivered(3000 * mb, 1000), delivered(mb, 1), aborted(32)], settings, 2000), undefined);
});

test('layers that the node had already are no work', () => {
  assert.equal(holdOf([present(3000 * mb), open(32)], settings, 2000), undefined);
});

test('requests of one moment may overtake each other: the first to arrive is held until the others have', () => {
  const layers = [present(3000 * mb), present(32), open(32, 1000)];
  assert.deepEqual(holdOf(layers, settings, 1000), { layer: 2, until: 2000 });
  assert.equal(holdOf(layers, settings, 2000), undefined);
  assert.equal(holdOf([present(400 * mb), open(32, 1000)], settings, 1000), undefined);
});

test('the only layer of an image is never held', () => {
  assert.equal(holdOf([open(9000 * mb, 1000)], settings, 1000), undefined);
  assert.equal(holdOf([present(0), open(9000 * mb, 1000)], settings, 1000), undefined);
});

// Properties.

const lastEvent = 10_000;
const time = fc.integer({ min: 0, max: lastEvent });
const size = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 5000 * mb }));
const anyLayer: fc.Arbitrary<ModelledLayer> = fc
  .record({ size, times: fc.tuple(time, time), state: fc.integer({ min: 0, max: 9 }) })
  .map(({ size, times: [a, b], state }) => {
    if (state < 2) return present(size);
    if (state < 5) return open(size, a);
    return { ...open(size, Math.min(a, b)), deliveredAt: Math.max(a, b) };
  });
const anyLayers = fc.array(anyLayer, { minLength: 1, maxLength: 12 });
const anySettings: fc.Arbitrary<CommitSettings> = fc.record({
  timeout: fc.constantFrom(1000, 10_000, 30_000),
  commitRate: fc.integer({ min: mb, max: 400 * mb }),
  maxHold: fc.constantFrom(0, 1000, 60_000, 300_000),
});
const later = fc.integer({ min: lastEvent, max: 200_000 });

/** The formula as it stands: what is missing is delivered now at the earliest. */
function endOf(layers: readonly ModelledLayer[], index: number, { commitRate }: CommitSettings, now: number): number {
  const layer = layers[index];
  if (layer === undefined) return Number.NEGATIVE_INFINITY;
  const before = endOf(layers, index - 1, { commitRate } as CommitSettings, now);
  if (layer.requestedAt === undefined || layer.size === 0) return before;
  return Math.max(layer.deliveredAt ?? now, before) + (layer.size / commitRate) * 1000;
}

/** All requests have arrived by then. */
const settled = ({ timeout }: CommitSettings, now: number) => now + timeout / 10;

test('what was let go is never held again while nothing happens, and `until` is when the verdict changes', () => {
  fc.assert(
    fc.property(anyLayers, anySettings, later, later, (layers, settings, a, b) => {
      const [early, late] = [Math.min(a, b), Math.max(a, b)];
      const before = holdOf(layers, settings, early);
      const after = holdOf(layers, settings, late);
      if (before === undefined) assert.equal(after, undefined);
      else if (late < before.until) assert.deepEqual(after, before);
      else if (early >= settled(settings, lastEvent)) assert.equal(after, undefined);
      if (before !== undefined) assert.ok(before.until > early);
    }),
    { numRuns: 3000 },
  );
});

test('a hold never exceeds the work that is modelled, nor the longest hold', () => {
  let held = 0;
  fc.assert(
    fc.property(anyLayers, anySettings, later, (layers, settings, at) => {
      const now = settled(settings, at);
      const hold = holdOf(layers, settings, now);
      if (hold === undefined) return;
      held++;
      const below = endOf(layers, hold.layer - 1, settings, now);
      const own = ((layers[hold.layer]?.size ?? 0) / settings.commitRate) * 1000;
      const work = layers.slice(0, hold.layer).filter(({ size, requestedAt }) => size > 0 && requestedAt !== undefined);
      assert.ok(below > now);
      assert.ok(below - now + own > settings.timeout / 2);
      const missing = work.some(({ deliveredAt }) => deliveredAt === undefined);
      if (!missing) assert.ok(hold.until <= below);
      if (!missing) {
        assert.ok(hold.until <= Math.max(...work.map(({ deliveredAt = 0 }) => deliveredAt)) + settings.maxHold);
      }
    }),
    { numRuns: 3000 },
  );
  assert.ok(held > 300, `only ${held} of the cases held anything`);
});

test('what is let go early has little work left, or the longest hold behind it', () => {
  fc.assert(
    fc.property(anyLayers, anySettings, later, (layers, settings, at) => {
      const now = settled(settings, at);
      const last = layers.findLastIndex(({ size, requestedAt }) => size > 0 && requestedAt !== undefined);
      const layer = layers[last];
      const isLast = layers.slice(last + 1).every(({ size }) => size === 0);
      if (layer === undefined || layer.deliveredAt !== undefined || !isLast) return;
      if (holdOf(layers, settings, now) !== undefined) return;
      const left = endOf(layers, last - 1, settings, now) - now;
      const own = (layer.size / settings.commitRate) * 1000;
      const below = layers.slice(0, last).filter(({ size, requestedAt }) => size > 0 && requestedAt !== undefined);
      const since = Math.max(...below.map(({ deliveredAt }) => deliveredAt ?? Number.POSITIVE_INFINITY));
      const nearly = 0.001;
      assert.ok(left <= nearly || left + own <= settings.timeout / 2 + nearly || now >= since + settings.maxHold);
    }),
    { numRuns: 3000 },
  );
});

test('a layer without bytes, one that is not asked for, one that is delivered, and a lone one are never held', () => {
  fc.assert(
    fc.property(anyLayers, anySettings, later, (layers, settings, now) => {
      const hold = holdOf(layers, settings, now);
      if (hold === undefined) return;
      const layer = layers[hold.layer];
      assert.ok(layer && layer.size > 0 && layer.requestedAt !== undefined && layer.deliveredAt === undefined);
      assert.ok(layers.filter(({ size }) => size > 0).length > 1);
    }),
    { numRuns: 3000 },
  );
  fc.assert(
    fc.property(anyLayer, anySettings, later, (layer, settings, now) => {
      assert.equal(holdOf([layer], settings, now), undefined);
    }),
  );
});
