import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseToken } from '../../../src/upstream/token-service.ts';

const parse = (json: unknown) => parseToken(Buffer.from(JSON.stringify(json)));

test('a token is found under either of its names, with its life', () => {
  assert.deepEqual(parse({ token: 'a', access_token: 'b', expires_in: 300 }), { token: 'a', expiresIn: 300 });
  assert.deepEqual(parse({ access_token: 'b', issued_at: 'x' }), { token: 'b', expiresIn: 0 });
  assert.deepEqual(parse({ token: '', access_token: 'b' }).token, 'b');
  assert.deepEqual(parse({ token: null, access_token: 'b', expires_in: '300' }), { token: 'b', expiresIn: 0 });
});

test('no bytes make it throw, and a token is always fit for a header', () => {
  const place = fc.oneof(fc.jsonValue(), fc.string());
  const shape = fc.record({ token: place, access_token: place, expires_in: place }, { requiredKeys: [] });
  const text = fc.oneof(fc.jsonValue(), shape).map((json) => Buffer.from(JSON.stringify(json)));
  fc.assert(
    fc.property(
      fc.oneof(
        text,
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      ),
      (bytes) => {
        const { token, expiresIn } = parseToken(bytes);
        if (token !== undefined) assert.match(token, /^[!-~]+$/);
        assert.equal(typeof expiresIn, 'number');
      },
    ),
    { numRuns: 500 },
  );
  for (const token of ['', ' ', 'a b', 'a\r\nb', 'é', 7, {}, ['a']]) assert.equal(parse({ token }).token, undefined);
  for (const json of ['', 'null', '[]', '"a"', '{', '7']) assert.equal(parseToken(Buffer.from(json)).token, undefined);
});
