import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatSize, parseDuration, parseSample, parseShare, parseSize } from '../../../src/config/units.ts';

const durations = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizes = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 };

for (const [parse, units] of [
  [parseDuration, durations],
  [parseSize, sizes],
] as const) {
  test(`${parse.name} reads whole numbers of each unit exactly, as far as they can be counted`, () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.entries(units)),
        fc.oneof(fc.nat(), fc.maxSafeNat()),
        ([unit, factor], count) => {
          const value = count * factor;
          const fits = Number.isSafeInteger(value) && count < 1e15;
          assert.equal(parse(`${count}${unit}`), fits ? value : undefined);
        },
      ),
    );
  });

  test(`${parse.name} makes of any text a number that can be counted, or nothing`, () => {
    const piece = fc.constantFrom(...Object.keys(units), '1', '0', '.', '-', ' ', 'e', '9'.repeat(20), 'constructor');
    const text = fc.oneof(
      fc.string(),
      fc.array(piece).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(text, (each) => {
        const value = parse(each);
        if (value === undefined) return;
        assert.match(each, /^\d+(?:\.\d+)?[A-Za-z]+$/);
        assert.ok(value >= 0 && value <= Number.MAX_SAFE_INTEGER);
      }),
      { numRuns: 500 },
    );
  });
}

test('parts of a unit count; sizes are rounded down to bytes', () => {
  assert.equal(parseDuration('1.5m'), 90_000);
  assert.equal(parseSize('1.5GiB'), 1.5 * 1024 ** 3);
  assert.equal(parseSize('0.3KiB'), 307);
});

test('what is no quantity with a known unit is nothing', () => {
  for (const text of [
    '',
    '5',
    's',
    '5 s',
    ' 5s',
    '5s ',
    '-5s',
    '+5s',
    '5S',
    '1h30m',
    '1e3s',
    '.5s',
    '5.s',
    '5toString',
  ]) {
    assert.equal(parseDuration(text), undefined, text);
  }
  for (const text of ['', '5', 'KiB', '5 KiB', '5kib', '5K', '5Ki', '5kb', '5PiB', '1,5GiB', '5%', '5__proto__']) {
    assert.equal(parseSize(text), undefined, text);
  }
});

test('a size that is written is read as nearly the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 49 }), (bytes) => {
      const read = parseSize(formatSize(bytes).replace(' ', ''));
      assert.ok(read !== undefined && Math.abs(read - bytes) <= bytes / 20, `${bytes}: ${formatSize(bytes)}`);
    }),
  );
  assert.deepEqual([0, 1, 1023, 1024, 1536, 2 ** 50].map(formatSize), [
    '0 B',
    '1 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '1024 TiB',
  ]);
});

test('a share is a percentage or a size, a sample a part', () => {
  assert.deepEqual(['5%', '0.5%', '10GiB'].map(parseShare), [{ fraction: 0.05 }, { fraction: 0.005 }, 10 * 2 ** 30]);
  assert.deepEqual(['100%', '-1%', '5', '%', '5 %'].map(parseShare), Array(5).fill(undefined));
  assert.deepEqual(['1/16', '1', '0', '0/4', '1/1'].map(parseSample), [16, 1, 0, 0, 1]);
  assert.deepEqual(['2/3', '1/0', '0.5', '', '1/'].map(parseSample), Array(5).fill(undefined));
});
