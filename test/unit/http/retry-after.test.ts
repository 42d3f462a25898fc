import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseRetryAfter } from '../../../src/http/retry-after.ts';

const wall = Date.UTC(2026, 0, 1);
const hour = 3_600_000;
const clamp = (ms: number) => Math.min(Math.max(ms, 0), hour);

test('seconds, dates and Unix times are a delay between nothing and an hour', () => {
  fc.assert(
    fc.property(fc.integer({ min: -100_000, max: 100_000 }), (seconds) => {
      const at = wall + seconds * 1000;
      if (seconds >= 0) assert.equal(parseRetryAfter(` ${seconds} `, wall), clamp(seconds * 1000));
      assert.equal(parseRetryAfter(new Date(at).toUTCString(), wall), clamp(seconds * 1000));
      assert.equal(parseRetryAfter(String(at / 1000), wall), clamp(seconds * 1000));
    }),
  );
});

test('dates in the two older forms of HTTP are understood, whatever the time zone here', () => {
  process.env['TZ'] = 'America/New_York';
  const at = Date.UTC(1994, 10, 6, 8, 49, 0);
  const forms = ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'];
  for (const form of forms) assert.equal(parseRetryAfter(form, at), 37_000, form);
});

test('what is neither is as good as absent', () => {
  const junk = [
    '',
    ' ',
    'soon',
    '-1',
    '+5',
    '1e3',
    '0x10',
    '5 seconds',
    'in 5',
    'Sunday',
    'NaN',
    '1.',
    '.5',
    '2026-01-01',
  ];
  for (const header of [undefined, ...junk]) {
    assert.equal(parseRetryAfter(header, wall), undefined, header);
  }
});

test('no text makes it throw, or wait for longer', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.nat().map(String)), fc.integer(), (header, now) => {
      const delay = parseRetryAfter(header, now);
      assert.ok(delay === undefined || (delay >= 0 && delay <= hour), header);
    }),
  );
  assert.equal(parseRetryAfter('9'.repeat(400), wall), hour);
});
