import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Claims } from '../../../src/cache/claims.ts';
import { type ArrivingBlob, InflightReader } from '../../../src/cache/reader.ts';
import { IntervalSet } from '../../../src/cache/spans.ts';
import { compareWants, spanOf, urgency, type Want, wantOf, wantOfUnread } from '../../../src/cache/wants.ts';

const unit = 64 * 1024;
const most = 12 * unit;
const share = { servedAt: 0 };

const offset = fc.oneof(
  fc.nat(most),
  fc.nat(12).map((units) => units * unit),
);
const interval = fc.tuple(offset, offset).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) + 1 }));

function blobOf(size: number | undefined, held: IntervalSet): ArrivingBlob {
  return {
    size,
    readable: held,
    verified: false,
    failure: undefined,
    wanted: () => {},
    readAt: ({ length }) => Promise.resolve(length),
    leave: () => Promise.resolve(),
  };
}

interface Scene {
  readonly size: number | undefined;
  readonly claims: Claims;
  readonly reader: InflightReader;
  /** What the reader lacks, and nobody fetches. */
  readonly lacking: IntervalSet;
}

const scene: fc.Arbitrary<Scene> = fc
  .record({
    size: fc.option(fc.integer({ min: 1, max: most }), { nil: undefined }),
    taken: fc.array(interval, { maxLength: 4 }),
    claimed: fc.array(interval, { maxLength: 2 }),
    wanted: fc.array(interval, { minLength: 1, maxLength: 4 }),
    whole: fc.boolean(),
  })
  .map(({ size, taken, claimed, wanted, whole }) => {
    const last = size ?? Number.POSITIVE_INFINITY;
    const held = new IntervalSet();
    for (const { start, end } of taken) held.add({ start, end: Math.min(end, last) });
    const claims = new Claims(held);
    const [{ start } = { start: 0 }] = wanted;
    const intervals = whole ? [{ start, end: Number.POSITIVE_INFINITY }] : wanted;
    const lacking = new IntervalSet();
    for (const each of intervals) lacking.add({ start: Math.max(start, each.start), end: Math.min(each.end, last) });
    for (const each of claimed) {
      claims.claim(each);
      lacking.remove(each);
    }
    for (const each of held.intervals) lacking.remove(each);
    const reader = new InflightReader(blobOf(size, held), { intervals, whole, share, layer: 3 });
    return { size, claims, reader, lacking };
  });

/** Without the reader's waiting, which is a promise that is never settled here. */
function waiting(reader: InflightReader): InflightReader {
  void reader.arrival(reader.position, new AbortController().signal);
  return reader;
}

test('a want is of bytes that nobody has or fetches, and holds the first that the reader lacks', () => {
  fc.assert(
    fc.property(scene, ({ size, claims, reader, lacking }) => {
      const [first] = lacking.intervals;
      const want = wantOf(reader, claims, size);
      assert.equal(want === undefined, first === undefined);
      if (want === undefined || first === undefined) return;
      assert.ok(want.start <= first.start && first.start < want.end);
      assert.ok(want.end <= (size ?? Number.POSITIVE_INFINITY));
      assert.deepEqual(claims.gap(want), { start: want.start, end: want.end });
    }),
    { numRuns: 1000 },
  );
});

test('a want is what the reader lacks, rounded to 64 KiB, and no more than 128 KiB between ranges', () => {
  fc.assert(
    fc.property(scene, ({ size, claims, reader, lacking }) => {
      const want = wantOf(reader, claims, size);
      if (want === undefined) return;
      const useless = new IntervalSet();
      useless.add(want);
      for (const each of lacking.intervals) useless.remove(each);
      for (const { start, end } of useless.intervals) assert.ok(end - start <= 4 * unit, `${start} to ${end}`);
      const [first] = useless.intervals;
      if (first?.start === want.start) assert.ok(first.end - first.start < unit);
      const last = useless.intervals.at(-1);
      if (last?.end === want.end) assert.ok(last.end - last.start < unit);
    }),
    { numRuns: 500 },
  );
});

test('who waits with nothing sent is more urgent than who takes bytes as they come, and that more than who lags', async () => {
  const size = 10 * 1024 * 1024;
  const held = new IntervalSet();
  held.add({ start: 0, end: size / 2 });
  const claims = new Claims(held);
  const demand = { whole: true, share, layer: 0 };
  const from = (start: number) => [{ start, end: Number.POSITIVE_INFINITY }];
  const urgencyOf = (reader: InflightReader) => wantOf(reader, claims, size)?.urgency;
  const fresh = waiting(new InflightReader(blobOf(size, held), { ...demand, intervals: from(size / 2) }));
  const reading = new InflightReader(blobOf(size, held), { ...demand, intervals: from(0) });
  assert.deepEqual([urgencyOf(fresh), urgencyOf(reading)], [urgency.first, urgency.ahead]);
  await reading.read(Buffer.alloc(size / 2 - 1000), 0);
  assert.equal(urgencyOf(reading), urgency.waiting);
  await reading.read(Buffer.alloc(1000), size / 2 - 1000);
  assert.equal(urgencyOf(waiting(reading)), urgency.waiting);
});

test('who waits for a byte that is being fetched will take what lies behind, and that is further ahead', () => {
  const claims = new Claims(new IntervalSet());
  claims.claim({ start: 0, end: unit });
  const demand = { intervals: [{ start: 0, end: Number.POSITIVE_INFINITY }], whole: true, share, layer: 0 };
  const reader = waiting(new InflightReader(blobOf(most, new IntervalSet()), demand));
  const want = wantOf(reader, claims, most);
  assert.deepEqual([want?.urgency, want?.start, want?.ahead], [urgency.waiting, unit, unit]);
});

test('of a blob that is expected, the first 64 KiB come soon, as of its pull, and all the rest last', () => {
  const own = { servedAt: 0 };
  const expected = { share, layer: 7 };
  const first = wantOfUnread({ start: 10, end: most }, expected, own);
  assert.deepEqual(first, { urgency: urgency.soon, start: 10, end: unit, ahead: 10, share, layer: 7 });
  assert.equal(first.share, share);
  assert.equal(wantOfUnread({ start: 0, end: 10 }, expected, own).end, 10);
  for (const start of [unit, unit + 1, most]) {
    const rest = wantOfUnread({ start, end: Number.POSITIVE_INFINITY }, expected, own);
    const last = { urgency: urgency.unread, start, end: Number.POSITIVE_INFINITY, ahead: start };
    assert.deepEqual(rest, { ...last, share, layer: 7 });
  }
});

test('what nobody reads or expects any more comes last, and is charged to no pull', () => {
  const own = { servedAt: 0 };
  const want = wantOfUnread({ start: 0, end: 10 }, undefined, own);
  assert.deepEqual(want, { urgency: urgency.unread, start: 0, end: 10, ahead: 0, share: own, layer: 0 });
  assert.equal(want.share, own);
});

test('a span is a beginning of what is wanted: about as long as asked, and its end a multiple of 64 KiB', () => {
  const end = fc.oneof(offset, fc.constant(Number.POSITIVE_INFINITY));
  fc.assert(
    fc.property(offset, end, fc.integer({ min: 1, max: most }), (start, last, length) => {
      fc.pre(start < last);
      const want: Want = { urgency: 1, start, end: last, ahead: 0, share, layer: 0 };
      const span = spanOf(want, length);
      assert.ok(span.start === start && span.end > start && span.end <= last);
      assert.ok(span.end === last || span.end % unit === 0);
      assert.ok(span.end === last || span.end - start >= length);
      assert.ok(span.end - start < length + unit);
    }),
  );
});

test('of two wants of a blob the more urgent comes first, then the one nearer to its reader', () => {
  const want = fc.record({ urgency: fc.integer({ min: 1, max: 5 }), ahead: fc.nat(5), start: fc.nat(5) });
  fc.assert(
    fc.property(fc.array(want), (all) => {
      const wants = all.map((each) => ({ ...each, end: most, share, layer: 0 }));
      const sorted = wants.toSorted(compareWants).map((each) => each.urgency * 10 + each.ahead);
      assert.deepEqual(
        sorted,
        sorted.toSorted((a, b) => a - b),
      );
    }),
  );
});
