import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../../src/oci/digest.ts';
import { Layer, type LayerState } from '../../../src/pulls/layer.ts';

const newLayer = (inParts = false) =>
  new Layer({ digest: digestOf(Buffer.from('x')), size: 100, mediaType: '' }, inParts);

/** A layer that is in this state; of one that was sent at all, 60 bytes were. */
function layerThat(state: LayerState, inParts = false): Layer {
  const layer = newLayer(inParts);
  const stream = {};
  if (state === 'not requested') return layer;
  layer.begin(stream, 0, 10);
  if (state !== 'requested') layer.advance(stream, 60);
  if (state === 'delivered' || state === 'aborted' || state === 'failed') layer.end(stream, state, 20);
  assert.equal(layer.state, state);
  return layer;
}

test('a layer is asked for, sent, and delivered, left or failed', () => {
  const layer = newLayer();
  const stream = {};
  assert.deepEqual([layer.state, layer.requestedAt], ['not requested', undefined]);
  layer.begin(stream, 0, 10);
  assert.deepEqual([layer.state, layer.requestedAt, layer.sent], ['requested', 10, 0]);
  layer.advance(stream, 40);
  assert.deepEqual([layer.state, layer.sent, layer.isSentBy(stream)], ['sending', 40, true]);
  layer.end(stream, 'delivered', 30);
  assert.deepEqual([layer.state, layer.deliveredAt, layer.isSentBy(stream)], ['delivered', 30, false]);
  const withdrawn = newLayer();
  withdrawn.begin(stream, 0, 10);
  withdrawn.end(stream, 'withdrawn', 20);
  assert.deepEqual([withdrawn.state, withdrawn.aborted], ['not requested', false]);
});

test('a stream that was replaced has nothing to say any more', () => {
  const layer = newLayer();
  const [first, second] = [{}, {}];
  layer.begin(first, 0, 10);
  layer.advance(first, 50);
  layer.begin(second, 40, 20);
  layer.advance(first, 10);
  layer.end(first, 'aborted', 30);
  assert.deepEqual([layer.state, layer.sent, layer.requestedAt, layer.aborted], ['sending', 40, 20, false]);
  layer.advance(second, 60);
  layer.end(second, 'delivered', 40);
  assert.deepEqual([layer.state, layer.sent, layer.deliveredAt], ['delivered', 100, 40]);
});

test('the whole is asked for once; the rest only by who has what comes before it', () => {
  const fits: Readonly<Record<LayerState, readonly [whole: number | undefined, from50: number | undefined]>> = {
    'not requested': [0, 2],
    requested: [undefined, undefined],
    sending: [undefined, 0],
    delivered: [undefined, 1],
    aborted: [0, 0],
    failed: [0, 0],
  };
  for (const [state, [whole, from50]] of Object.entries(fits)) {
    const layer = layerThat(state as LayerState);
    assert.deepEqual([layer.fit(0), layer.fit(50)], [whole, from50], state);
    assert.equal(layer.fit(undefined), 0, state);
  }
  assert.equal(layerThat('sending').fit(61), undefined);
  for (const state of ['requested', 'sending'] as const) assert.equal(layerThat(state, true).fit(61), 1);
  assert.equal(layerThat('aborted').fit(61), 1);
});

test('a stream that was replaced by one that resumes says nothing of the layer, however it ends', () => {
  const layer = newLayer();
  const [lingering, resumed] = [{}, {}];
  layer.begin(lingering, 0, 10);
  layer.advance(lingering, 90);
  layer.begin(resumed, 80, 20);
  layer.end(lingering, 'delivered', 30);
  assert.deepEqual([layer.state, layer.isSentBy(resumed)], ['sending', true]);
  layer.end(resumed, 'delivered', 40);
  assert.equal(layer.deliveredAt, 40);
});

test('a layer that is taken in parts, several at a time, is there with its last one', () => {
  const endings = [
    { begun: [0, 40, 80], ended: [0, 40, 80] },
    { begun: [0, 80, 40], ended: [0, 40, 80] },
    { begun: [0, 80, 40], ended: [80, 40, 0] },
  ];
  for (const { begun, ended } of endings) {
    const layer = newLayer(true);
    const streams = new Map(begun.map((from) => [from, {}]));
    for (const [from, stream] of streams) layer.begin(stream, from, 10);
    for (const from of ended) layer.end(streams.get(from) ?? {}, from === 80 ? 'delivered' : 'aborted', 20);
    assert.deepEqual([layer.state, layer.deliveredAt, layer.aborted], ['delivered', 20, false], `${begun}, ${ended}`);
  }
});

test('reading parts of a layer says nothing of the whole', () => {
  const layer = newLayer();
  layer.begin({}, undefined, 10);
  assert.deepEqual([layer.parted, layer.requestedAt, layer.fit(0)], [true, undefined, 0]);
});
