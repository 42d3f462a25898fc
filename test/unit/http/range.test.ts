import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  MultipleRangeError,
  maxRanges,
  parseContentRange,
  parseRange,
  type RangeOutcome,
  type RangeSpec,
  resolveRange,
} from '../../../src/http/range.ts';

const offset = fc.oneof(fc.nat(40), fc.maxSafeNat());
const spec: fc.Arbitrary<RangeSpec> = fc.oneof(
  fc.record({ first: offset, last: offset }, { noNullPrototype: true }),
  fc.record({ first: offset }, { noNullPrototype: true }),
  fc.record({ suffix: offset }, { noNullPrototype: true }),
);

function write(each: RangeSpec): string {
  if ('suffix' in each) return `-${each.suffix}`;
  return 'last' in each ? `${each.first}-${each.last}` : `${each.first}-`;
}

/** What the work throws, which must be nothing but a MultipleRangeError; else what it returns. */
function outcomeOf<T>(work: () => T): T | 'refused' {
  try {
    return work();
  } catch (error) {
    assert.ok(error instanceof MultipleRangeError, String(error));
    return 'refused';
  }
}

/** RFC 9110 §14.1.2, offset by offset. */
function offsetsOf(each: RangeSpec, size: number): number[] {
  const all = Array.from({ length: size }, (_, at) => at);
  if ('suffix' in each) return all.filter((at) => at >= size - each.suffix);
  const last = 'last' in each ? each.last : Number.POSITIVE_INFINITY;
  return last < each.first ? [] : all.filter((at) => at >= each.first && at <= last);
}

/** What the table of answers says, from the offsets alone. */
function expected(specs: readonly RangeSpec[], size: number): RangeOutcome | 'refused' {
  const [only] = specs;
  if (size === 0 || only === undefined) return { kind: 'whole' };
  const wanted = specs.map((each) => offsetsOf(each, size));
  const intervals = wanted.map((offsets) => ({ start: offsets[0] ?? 0, end: (offsets.at(-1) ?? 0) + 1 }));
  const [interval = { start: 0, end: 0 }] = intervals;
  if (specs.length === 1) {
    const openEnded = /^\d+-$/.test(write(only));
    return wanted[0]?.length === 0 ? { kind: 'unsatisfiable' } : { kind: 'single', interval, openEnded };
  }
  if (wanted.some((offsets) => offsets.length === 0) || wanted.flat().length > size) return 'refused';
  return { kind: 'multiple', intervals };
}

test('a header is read as what it was made of, with spaces and empty members anywhere', () => {
  const space = fc.constantFrom('', ' ', '\t', ' , ');
  fc.assert(
    fc.property(
      fc.array(spec, { minLength: 1 }),
      space,
      fc.constantFrom('bytes', 'Bytes', ' bytes '),
      (specs, gap, unit) => {
        const header = `${unit}=${gap}${specs.map(write).join(`${gap},${gap}`)}${gap}`;
        assert.deepEqual(parseRange(header), specs);
      },
    ),
  );
});

test('what of some content is sent is what a walk over its offsets finds', () => {
  fc.assert(
    fc.property(fc.array(spec, { maxLength: 4 }), fc.nat(50), (specs, size) => {
      assert.deepEqual(
        outcomeOf(() => resolveRange(specs, size)),
        expected(specs, size),
      );
    }),
    { numRuns: 1000 },
  );
});

test('no text makes it throw anything but a MultipleRangeError, and what is sent lies within the content', () => {
  const piece = fc.constantFrom(
    'bytes=',
    '-',
    ',',
    '0',
    '9'.repeat(400),
    '5-2',
    '1-',
    '-1',
    ' ',
    'e3',
    '0x1',
    '+1',
    '½',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.oneof(piece, fc.string())).map((all) => `bytes=${all.join('')}`),
  );
  fc.assert(
    fc.property(text, fc.nat(100), (header, size) => {
      const outcome = outcomeOf(() => resolveRange(parseRange(header), size));
      if (outcome === 'refused') return;
      const intervals =
        outcome.kind === 'single' ? [outcome.interval] : outcome.kind === 'multiple' ? outcome.intervals : [];
      for (const { start, end } of intervals) assert.ok(0 <= start && start < end && end <= size, header);
    }),
    { numRuns: 1000 },
  );
});

test('junk, another unit and no range at all are as good as no header; a list with junk in it is refused', () => {
  for (const header of [
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=,',
    'bytes=-',
    'bytes=a-b',
    'items=0-1',
    '0-1',
    'bytes 0-1',
    'bytes=0-1, bytes=5-6',
  ]) {
    assert.equal(parseRange(header), undefined, header);
  }
  for (const header of ['bytes=0-1,x', 'bytes=-,0-1', 'bytes=0 - 1, 2-3', 'bytes=0-1;2-3,4-5']) {
    assert.throws(() => parseRange(header), MultipleRangeError, header);
  }
});

test('as many ranges as clients send are taken, and no more', () => {
  const header = (count: number) =>
    `bytes=${Array.from({ length: count }, (_, at) => `${at * 2}-${at * 2}`).join(',')}`;
  assert.equal(parseRange(header(maxRanges))?.length, maxRanges);
  assert.throws(() => parseRange(header(maxRanges + 1)), MultipleRangeError);
});

test('a Content-Range is read as what it was made of', () => {
  const size = fc.nat(999_999_999_999_999);
  fc.assert(
    fc.property(size, size, fc.option(size), (a, b, c) => {
      const [start = 0, last = 0, total = 0] = [a, b, c ?? 0].toSorted((x, y) => x - y);
      fc.pre(c === null || last < total);
      const text = c === null ? `bytes ${Math.min(a, b)}-${Math.max(a, b)}/*` : `bytes ${start}-${last}/${total}`;
      const read = c === null ? { start: Math.min(a, b), end: Math.max(a, b) + 1 } : { start, end: last + 1 };
      assert.deepEqual(parseContentRange(text), { ...read, total: c === null ? undefined : total });
    }),
  );
});

test('a Content-Range that contradicts itself, or is none, is as good as absent', () => {
  const none = [
    '',
    'bytes */9',
    'bytes 0-9',
    'bytes 0-9/9',
    'bytes 5-4/9',
    'bytes=0-1/2',
    'items 0-1/2',
    'bytes 0-1/2, bytes 2-3/4',
  ];
  const odd = [
    ' bytes 0-1/2',
    'bytes 0-1/2 ',
    'bytes  0-1/2',
    'bytes 0-1/-',
    'bytes -1/2',
    `bytes 0-1/${'9'.repeat(16)}`,
  ];
  for (const header of [undefined, ...none, ...odd]) assert.equal(parseContentRange(header), undefined, header);
  fc.assert(
    fc.property(fc.string(), (text) => {
      const range = parseContentRange(text);
      if (range !== undefined) assert.ok(range.start < range.end && range.end <= (range.total ?? range.end));
    }),
  );
});
