import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesNone, rangeApplies } from '../../../src/http/conditional.ts';
import { digestOf } from '../../../src/oci/digest.ts';

const tag = fc.uint8Array().map((bytes) => digestOf(bytes));

test('a list names a tag when it is in it: quoted, weak or bare', () => {
  const dress = fc.constantFrom<(text: string) => string>(
    (text) => `"${text}"`,
    (text) => `W/"${text}"`,
    (text) => text,
    (text) => ` "${text}" `,
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(tag, dress)), tag, (members, other) => {
      const header = members.map(([text, dressed]) => dressed(text)).join(',');
      for (const [text] of members) assert.ok(matchesNone(header, text));
      assert.equal(
        matchesNone(header, other),
        members.some(([text]) => text === other),
      );
    }),
  );
});

test('an asterisk names every tag; no header names none', () => {
  assert.ok(matchesNone('*', 'a') && matchesNone(' * ', 'a'));
  for (const header of [undefined, '', '""', '"*"', '*, "b"', '"a', 'a"', 'w/"a"', 'W/ "a"', '"A"']) {
    assert.ok(!matchesNone(header, 'a'), header);
  }
});

test('a range counts without If-Range, or with the strong tag in quotes', () => {
  assert.ok(rangeApplies(undefined, 'a') && rangeApplies('"a"', 'a') && rangeApplies(' "a" ', 'a'));
  for (const header of ['', 'a', 'W/"a"', '"b"', '"a", "b"', '*', 'Wed, 21 Oct 2015 07:28:00 GMT']) {
    assert.ok(!rangeApplies(header, 'a'), header);
  }
});

test('no text makes them throw', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (header, text) => {
      matchesNone(header, text);
      rangeApplies(header, text);
    }),
  );
});
