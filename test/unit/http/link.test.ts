import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseNextLink } from '../../../src/http/link.ts';

const table: readonly (readonly [header: string | undefined, next: string | undefined])[] = [
  [undefined, undefined],
  ['', undefined],
  ['</v2/a/tags/list?last=b&n=2>; rel="next"', '/v2/a/tags/list?last=b&n=2'],
  ['<https://registry.test/v2/a/tags/list?x=1>; rel=next', 'https://registry.test/v2/a/tags/list?x=1'],
  ['<?last=b>;rel="prev next"', '?last=b'],
  ['<first>; rel="first", <second>; title="a; b"; REL = Next', 'second'],
  ['<first>; rel="first"', undefined],
  ['<nothing said>', undefined],
  ['/v2/a; rel="next"', undefined],
  ['<unclosed; rel="next"', undefined],
];

for (const [header, next] of table) {
  test(`the next page of ${header} is ${next}`, () => assert.equal(parseNextLink(header), next));
}

test('any text is read without an error, and soon', () => {
  fc.assert(fc.property(fc.string(), (text) => void parseNextLink(text)));
  const began = performance.now();
  for (const text of ['<', '<>', '; rel=', '<a>; rel="', ' ', '<a>;']) parseNextLink(text.repeat(16_000 / text.length));
  assert.ok(performance.now() - began < 1000);
});
