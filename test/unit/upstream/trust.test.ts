import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayKnowLogin } from '../../../src/upstream/trust.ts';

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
  ['https://registry.example.com/', 'https://auth.example.com:8443/token', true],
  ['https://registry.example.com/', 'https://notexample.com/token', false],
  // Where the configuration says so.
  ['https://registry.example.com/', 'https://gitlab.example.net/jwt/auth', true],
  ['https://registry.example.com/', 'https://gitlab.example.net:8443/jwt/auth', false],
  ['https://registry.example.com/', 'http://gitlab.example.net/jwt/auth', false],
];

test('a login goes to the challenger’s own host or domain, or where it is configured, and never less protected', () => {
  for (const [challenger, realm, may] of logins) {
    const url = new URL(challenger);
    const target = { url, endpoint: url.origin, repository: 'team/app', trusted: true };
    assert.equal(mayKnowLogin(new URL(realm), target, ['gitlab.example.net']), may, `${challenger} ${realm}`);
    assert.equal(mayKnowLogin(new URL(realm), { ...target, trusted: false }, ['gitlab.example.net']), false);
  }
});
