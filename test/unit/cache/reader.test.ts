import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InflightReader } from '../../../src/cache/reader.ts';
import { IntervalSet } from '../../../src/cache/spans.ts';

test('what a reader waits for it has not read, though it read it before', async () => {
  const held = new IntervalSet();
  const blob = {
    size: 100,
    readable: held,
    verified: false,
    failure: undefined,
    wanted: () => {},
    readAt: (buffer: Buffer) => Promise.resolve(buffer.length),
    leave: () => Promise.resolve(),
  };
  const demand = { intervals: [{ start: 10, end: 90 }], whole: false, share: { servedAt: 0 }, layer: 0 };
  const reader = new InflightReader(blob, demand);
  held.add({ start: 0, end: 100 });
  assert.equal(await reader.read(Buffer.alloc(40), 10), 40);
  assert.deepEqual(reader.unread.intervals, [{ start: 50, end: 90 }]);
  held.remove({ start: 20, end: 40 });
  const arrival = reader.arrival(20, new AbortController().signal);
  assert.deepEqual(reader.unread.intervals, [{ start: 20, end: 90 }]);
  held.add({ start: 20, end: 40 });
  reader.notify();
  await arrival;
});
