import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mayKnowLogin, parseToken } from '../../../src/upstream/tokens.ts';

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

const logins: readonly (readonly [challenger: string, realm: string, may: boolean])[] = [
  ['https://registry-1.docker.io/v2/', 'https://auth.docker.io/token', true],
  ['https://ghcr.io/v2/', 'https://ghcr.io/token', true],
  ['https://registry.gitlab.com/v2/', 'https://gitlab.com/jwt/auth', true],
  ['https://registry.example.co.uk/', 'https://auth.example.co.uk/', true],
  ['https://a.example.com:5000/', 'https://a.example.com:5001/', true],
  ['http://127.0.0.1:5000/', 'http://127.0.0.1:5001/token', true],
  ['http://registry.example.com/', 'https://auth.example.com/', true],
  ['https://registry.example.com/', 'http://auth.example.com/', false],
  ['https://registry.example.com/', 'http://registry.example.com/', false],
  ['https://registry.example.com/', 'https://evil.com/token', false],
  ['https://registry.example.com/', 'https://example.com.evil.com/', false],
  ['https://registry.example.com/', 'https://registry.example.com@evil.com/', false],
  ['https://one.co.uk/', 'https://other.co.uk/', false],
  // Everybody may have a name below a suffix that a provider gives out.
  ['https://mine.s3.amazonaws.com/', 'https://other.s3.amazonaws.com/', false],
  ['https://me.github.io/', 'https://you.github.io/', false],
  ['http://10.0.0.1/', 'http://10.0.0.2/', false],
  ['http://registry/', 'http://auth/', false],
];

test('a login goes to the challenger’s own host or domain, and never less protected', () => {
  for (const [challenger, realm, may] of logins) {
    const request = { realm: new URL(realm), challenger: new URL(challenger), service: undefined, scope: '' };
    assert.equal(mayKnowLogin({ ...request, trusted: true }), may, `${challenger} ${realm}`);
    assert.equal(mayKnowLogin({ ...request, trusted: false }), false);
  }
});
