import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DockerConfigError, findDockerEntry } from '../../../src/upstream/docker-config.ts';

const auth = (text: string) => Buffer.from(text).toString('base64');
const find = (json: unknown, host: string, repository = 'team/app') =>
  findDockerEntry(JSON.stringify(json), host, repository);
const accountAt = (json: unknown, host: string, repository?: string) => {
  const entry = find(json, host, repository);
  return entry && 'login' in entry ? entry.login.account?.username : undefined;
};

test('Docker Hub has one login, under each of its names', () => {
  for (const key of ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io', 'registry-1.docker.io/v2/']) {
    assert.equal(accountAt({ auths: { [key]: { auth: auth('u:p') } } }, 'registry-1.docker.io'), 'u', key);
  }
  assert.equal(accountAt({ auths: { 'docker.io/library': { auth: auth('u:p') } } }, 'registry-1.docker.io'), undefined);
  const namespaced = { auths: { 'docker.io/library': { auth: auth('u:p') } } };
  assert.equal(accountAt(namespaced, 'registry-1.docker.io', 'library/nginx'), 'u');
});

test('a helper is asked for Docker Hub under the name that `docker login` gave it', () => {
  assert.deepEqual(find({ credsStore: 'pass' }, 'registry-1.docker.io'), {
    helper: 'pass',
    key: 'https://index.docker.io/v1/',
  });
  assert.deepEqual(find({ credHelpers: { 'gcr.io': 'gcloud' } }, 'gcr.io'), { helper: 'gcloud', key: 'gcr.io' });
});

test('a host with a port, or in capitals, is the host of the key', () => {
  const json = { auths: { 'Registry.Corp:5000': { auth: auth('u:p') }, 'plain.corp:443': { auth: auth('v:p') } } };
  assert.equal(accountAt(json, 'registry.corp:5000'), 'u');
  assert.equal(accountAt(json, 'registry.corp'), undefined);
  assert.equal(accountAt(json, 'plain.corp'), 'v');
});

test('a password may hold colons, and is cut of the zeros that pad it', () => {
  const entry = find({ auths: { 'a.b': { auth: auth('u:p:q\0\0') } } }, 'a.b');
  assert.deepEqual(entry, {
    login: { account: { username: 'u', password: 'p:q' }, identityToken: undefined, registryToken: undefined },
  });
});

test('an entry that is empty, as a store leaves it, is no login', () => {
  assert.equal(find({ auths: { 'a.b': {} } }, 'a.b'), undefined);
  assert.equal(find({ auths: { 'a.b': { auth: '' } }, credsStore: '' }, 'a.b'), undefined);
  assert.equal(find({}, 'a.b'), undefined);
});

test('of keys that lead to a repository, the longest counts', () => {
  const segment = fc.constantFrom('a', 'b', 'ab');
  const path = fc.array(segment, { maxLength: 3 }).map((parts) => ['r.test', ...parts].join('/'));
  fc.assert(
    fc.property(
      fc.uniqueArray(path, { maxLength: 6 }),
      fc.array(segment, { minLength: 1, maxLength: 3 }),
      (keys, name) => {
        const auths = Object.fromEntries(keys.map((key) => [key, { auth: auth(`${key}:p`) }]));
        const wanted = ['r.test', ...name];
        const leading = wanted.map((_, at) => wanted.slice(0, wanted.length - at).join('/'));
        assert.equal(
          accountAt({ auths }, 'r.test', name.join('/')),
          leading.find((key) => keys.includes(key)),
        );
      },
    ),
  );
});

test('whatever stands in the file, it is read or refused, and nothing of it is told', () => {
  const secret = fc.constant('s3cret');
  const value = fc.oneof(secret, fc.jsonValue({ maxDepth: 2 }), fc.constant(auth('s3cret')));
  const entry = fc.dictionary(fc.constantFrom('auth', 'username', 'password', 'identitytoken', 'registrytoken'), value);
  const file = fc.dictionary(
    fc.constantFrom('auths', 'credHelpers', 'credsStore', 'r.test'),
    fc.oneof(fc.dictionary(fc.constantFrom('r.test', 'r.test/team', ''), fc.oneof(entry, value)), entry, value),
  );
  const text = fc.oneof(
    file.map((json) => JSON.stringify(json)),
    fc.string().map((junk) => `{"auths": s3cret${junk}`),
  );
  fc.assert(
    fc.property(text, (content) => {
      try {
        findDockerEntry(content, 'r.test', 'team/app');
      } catch (error) {
        assert.ok(error instanceof DockerConfigError);
        assert.doesNotMatch(`${error.stack} ${error.cause}`, /s3cret/);
      }
    }),
    { numRuns: 500 },
  );
});
