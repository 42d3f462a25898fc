import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '../../../src/oci/digest.ts';
import { RegistryError } from '../../../src/oci/errors.ts';
import { parsePullPath, type Resource } from '../../../src/oci/pull-path.ts';

const digest = digestOf(Buffer.from('x'));

// Written anew from the grammar of the specification, not from the parser.
const word = fc.string({ unit: fc.constantFrom(...'abz09'), minLength: 1, maxLength: 6 });
const joint = fc.constantFrom('.', '_', '__', '-', '--', '---');
const component = fc
  .tuple(word, fc.array(fc.tuple(joint, word), { maxLength: 2 }))
  .map(([first, rest]) => first + rest.flat().join(''));
const special = fc.constantFrom('manifests', 'blobs', 'tags', 'list', 'referrers', 'docker.io', 'v2', 'uploads');
const name = fc.array(fc.oneof(component, special), { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
const tag = fc
  .tuple(fc.constantFrom(...'aZ0_'), fc.string({ unit: fc.constantFrom(...'aZ0._-'), maxLength: 127 }))
  .map((parts) => parts.join(''));
const anyDigest = fc
  .tuple(fc.uint8Array(), fc.constantFrom('sha256' as const, 'sha512' as const))
  .map(([bytes, algorithm]) => digestOf(bytes, algorithm));

const resource: fc.Arbitrary<{ path: string; resource: Resource }> = fc.oneof(
  tag.map((text) => ({ path: `manifests/${text}`, resource: { kind: 'manifest' as const, reference: { tag: text } } })),
  anyDigest.map((each) => ({
    path: `manifests/${each}`,
    resource: { kind: 'manifest' as const, reference: { digest: each } },
  })),
  anyDigest.map((each) => ({ path: `blobs/${each}`, resource: { kind: 'blob' as const, digest: each } })),
  anyDigest.map((each) => ({ path: `referrers/${each}`, resource: { kind: 'referrers' as const, digest: each } })),
  fc.constant({ path: 'tags/list', resource: { kind: 'tags' as const } }),
);

function codeOf(target: string): string {
  try {
    return JSON.stringify(parsePullPath(target)) ?? 'undefined';
  } catch (error) {
    assert.ok(error instanceof RegistryError, `${target}: ${error}`);
    return `${error.status} ${error.code}`;
  }
}

test('every path that the specification allows is read as what it was made of', () => {
  fc.assert(
    fc.property(name, resource, fc.option(component), fc.option(fc.webAuthority()), (repository, what, before, ns) => {
      fc.pre(before !== 'extensions');
      const query = ns === null ? '' : `?ns=${encodeURIComponent(ns)}`;
      const path = `${before === null ? '' : `/${before}`}/v2/${repository}/${what.path}`;
      const expected = { prefix: before ?? undefined, ns: ns ?? undefined, name: repository, resource: what.resource };
      for (const form of [path, path.replaceAll(':', '%3A'), path.replaceAll(':', '%3a')]) {
        assert.deepEqual(parsePullPath(form + query), expected);
      }
    }),
  );
});

test('no text makes it throw anything but a RegistryError, and what it accepts is within the grammar', () => {
  const parts = fc.constantFrom(
    '/',
    '/v2/',
    'manifests/',
    'blobs/',
    'a',
    '..',
    '%2F',
    '%',
    ':',
    `${digest}`,
    '?ns=',
    '\0',
  );
  const target = fc.oneof(
    fc.string({ unit: 'binary-ascii' }),
    fc.array(fc.oneof(parts, fc.string())).map((all) => all.join('')),
  );
  fc.assert(
    fc.property(target, (text) => {
      if (!codeOf(text).startsWith('{')) return;
      const path = parsePullPath(text);
      assert.ok(path !== undefined && path !== 'ping');
      assert.match(path.name, /^[a-z0-9._/-]{1,255}$/);
      assert.ok(!path.name.includes('..') && !path.name.includes('//'));
      assert.match(path.prefix ?? 'none', /^[a-zA-Z0-9._-]+$/);
    }),
    { numRuns: 1000 },
  );
});

const targets: readonly (readonly [target: string, outcome: string])[] = [
  ['/v2/', '"ping"'],
  ['/v2', '"ping"'],
  ['/up.test/v2/', '"ping"'],
  ['/v2/?ns=docker.io', '"ping"'],
  ['/', 'undefined'],
  ['', 'undefined'],
  ['*', 'undefined'],
  ['/v1/search', 'undefined'],
  ['/v2x/a/manifests/b', 'undefined'],
  ['/a/b/v2/c/manifests/d', 'undefined'],
  ['//v2/a/manifests/b', 'undefined'],
  ['/extensions/v2/a/manifests/b', 'undefined'],
  ['http://host/v2/a/manifests/b', 'undefined'],
  ['/v2/_catalog', '404 UNSUPPORTED'],
  ['/v2/a', '400 NAME_INVALID'],
  ['/v2/a/manifests', '400 NAME_INVALID'],
  ['/v2/manifests/b', '400 NAME_INVALID'],
  ['/v2//manifests/b', '400 NAME_INVALID'],
  ['/v2/a/tags/all', '400 NAME_INVALID'],
  ['/v2/a/../b/manifests/c', '400 NAME_INVALID'],
  ['/v2/a%2fb/manifests/c', '400 NAME_INVALID'],
  ['/v2/A/manifests/b', '400 NAME_INVALID'],
  ['/v2/a___b/manifests/c', '400 NAME_INVALID'],
  [`/v2/${'a'.repeat(256)}/manifests/b`, '400 NAME_INVALID'],
  ['/v2/a/manifests/', '400 TAG_INVALID'],
  [`/v2/a/manifests/${'b'.repeat(129)}`, '400 TAG_INVALID'],
  ['/v2/a/manifests/b%20c', '400 TAG_INVALID'],
  ['/v2/a/manifests/sha256:0', '400 DIGEST_INVALID'],
  ['/v2/a/manifests/md5:0', '404 MANIFEST_UNKNOWN'],
  ['/v2/a/blobs/latest', '400 DIGEST_INVALID'],
  ['/v2/a/blobs/md5:0', '404 BLOB_UNKNOWN'],
  ['/v2/a/referrers/x', '400 DIGEST_INVALID'],
  ['/v2/a/blobs/uploads/', '404 BLOB_UPLOAD_UNKNOWN'],
  ['/v2/a/blobs/uploads', '404 BLOB_UPLOAD_UNKNOWN'],
];

test('paths that name nothing say why', () => {
  for (const [target, outcome] of targets) assert.equal(codeOf(target), outcome, target);
});

test('the end of the path decides, so a name may hold the words of the API', () => {
  const named = (target: string) => {
    const path = parsePullPath(target);
    return path !== undefined && path !== 'ping' && path.name;
  };
  assert.equal(named('/v2/manifests/manifests/blobs/manifests/x'), 'manifests/manifests/blobs');
  assert.equal(named(`/v2/tags/list/blobs/${digest}`), 'tags/list');
  assert.equal(named('/v2/blobs/uploads/tags/list'), 'blobs/uploads');
  assert.equal(named('/v2/v2/v2/manifests/v2'), 'v2/v2');
});

test('a name of 255 characters and a tag of 128 are the longest', () => {
  const path = parsePullPath(`/v2/${'a'.repeat(255)}/manifests/${'b'.repeat(128)}`);
  assert.ok(path !== undefined && path !== 'ping' && path.name.length === 255);
});

test('of a query only ns counts, decoded, and the first of several', () => {
  const nsOf = (query: string) => {
    const path = parsePullPath(`/v2/a/blobs/${digest}${query}`);
    return path !== undefined && path !== 'ping' ? path.ns : assert.fail();
  };
  assert.equal(nsOf('?ns=host%3A5000&x=1&ns=other'), 'host:5000');
  assert.equal(nsOf('?NS=a&n=b'), undefined);
  assert.equal(nsOf('?ns='), '');
  assert.equal(nsOf('?%ns=%zz?ns=a'), undefined);
});
