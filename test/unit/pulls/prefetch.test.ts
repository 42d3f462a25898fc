import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifest } from '../../../src/oci/manifest.ts';
import { Layer } from '../../../src/pulls/layer.ts';
import { Prefetch } from '../../../src/pulls/prefetch.ts';
import type { Route } from '../../../src/upstream/routes.ts';
import { FakeClock } from '../../support/clock.ts';
import { makeImage } from '../../support/images.ts';
import { collectLog } from '../../support/mirror.ts';

/** A pull of an image with so many layers, none of which it has asked for. */
function setPrefetch(count: number) {
  const { manifest } = makeImage(...Array.from({ length: count }, (_, index) => index));
  const { layers } = parseManifest(manifest.bytes, manifest.mediaType);
  const clock = new FakeClock();
  const listeners = new Set<() => void>();
  const pull = {
    ahead: layers.map((descriptor, index) => ({ layer: new Layer(descriptor, false), index })),
    hasFreeSlot: false,
    watch: (listener: () => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const begun: { layer: number; signal: AbortSignal; arrive: () => void }[] = [];
  const blobs = {
    expect: (_route: Route, _digest: string, { layer }: { layer: number }, signal: AbortSignal) =>
      new Promise<void>((arrive) => begun.push({ layer, signal, arrive })),
  };
  const prefetch = new Prefetch({ blobs, clock, log: collectLog([]) });
  const follow = () => prefetch.follow(pull, {} as Route);
  const changed = () => listeners.forEach((listener) => void listener());
  return { clock, pull, begun, follow, changed, listeners };
}

const numbers = (begun: readonly { layer: number }[]) => begun.map(({ layer }) => layer);

test('six layers are fetched ahead at a time, the lowest first, each once', async () => {
  const { begun, follow, changed } = setPrefetch(9);
  follow();
  follow();
  changed();
  assert.deepEqual(numbers(begun), [0, 1, 2, 3, 4, 5]);
  begun[2]?.arrive();
  await Promise.resolve();
  assert.deepEqual(numbers(begun), [0, 1, 2, 3, 4, 5, 6]);
});

test('what the client has asked for makes room for what is above', () => {
  const { begun, follow, changed, pull } = setPrefetch(9);
  follow();
  pull.ahead = pull.ahead.slice(2);
  changed();
  assert.deepEqual(numbers(begun), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test('fetching ahead stops when the client has left a slot free for a second, and not while it has none', () => {
  const { begun, clock, follow, changed, listeners, pull } = setPrefetch(2);
  follow();
  for (const _ of [1, 2, 3]) clock.advance(1000);
  assert.ok(begun.every(({ signal }) => !signal.aborted));
  pull.hasFreeSlot = true;
  changed();
  clock.advance(999);
  changed();
  clock.advance(999);
  assert.ok(begun.every(({ signal }) => !signal.aborted));
  clock.advance(1);
  assert.ok(begun.every(({ signal }) => signal.aborted));
  assert.equal(listeners.size, 0);
});

test('fetching ahead stops when all layers have been asked for', () => {
  const { begun, follow, changed, pull, listeners } = setPrefetch(2);
  follow();
  pull.ahead = [];
  changed();
  assert.ok(begun.every(({ signal }) => signal.aborted));
  assert.equal(listeners.size, 0);
});
