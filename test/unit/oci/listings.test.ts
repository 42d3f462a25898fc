import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '../../../src/oci/digest.ts';
import { RegistryError } from '../../../src/oci/errors.ts';
import { parseListQuery } from '../../../src/oci/list-query.ts';
import { ofTypes, readReferrers, readTags, referrersTag } from '../../../src/oci/listings.ts';
import { isTag } from '../../../src/oci/pull-path.ts';

const bytesOf = (json: unknown) => Buffer.from(JSON.stringify(json));

test('whatever an upstream sends as a list, tags come out of it, or nothing', () => {
  const tag = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/);
  const list = fc.record({ tags: fc.oneof(fc.array(fc.oneof(tag, fc.jsonValue())), fc.jsonValue()) });
  fc.assert(
    fc.property(fc.oneof(list, fc.jsonValue()).map(bytesOf), (bytes) => {
      assert.ok((readTags(bytes) ?? []).every(isTag));
    }),
  );
  fc.assert(fc.property(fc.array(tag), (tags) => assert.deepEqual(readTags(bytesOf({ tags })), tags)));
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void readTags(bytes)));
});

test('whatever an upstream sends as referrers, objects come out of it, or nothing; a filter takes some of them', () => {
  const types = ['a', 'b', 'c'];
  const descriptor = fc.record({ artifactType: fc.constantFrom(...types), size: fc.nat() }, { noNullPrototype: true });
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void readReferrers(bytes)));
  fc.assert(
    fc.property(fc.array(descriptor), fc.subarray(types), (manifests, wanted) => {
      const read = readReferrers(bytesOf({ manifests: [null, ...manifests, 7] }));
      assert.deepEqual(read, manifests);
      const expected = manifests.filter(({ artifactType }) => wanted.length === 0 || wanted.includes(artifactType));
      assert.deepEqual(ofTypes(manifests, wanted), expected);
    }),
  );
});

test('the tag that stands for referrers is a tag', () => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const tag = referrersTag(digestOf(Buffer.from('x'), algorithm));
    assert.ok(isTag(tag) && tag.startsWith(`${algorithm}-`));
    assert.equal(tag.length, 7 + 64);
  }
});

test('any query is read, or refused; what is passed on is not ours', () => {
  fc.assert(
    fc.property(fc.webQueryParameters(), fc.stringMatching(/^[a-z0-9-]{0,4}$/), (query, n) => {
      try {
        const { page } = parseListQuery(`/v2/a/tags/list?ns=b&artifactType=c&n=${n}&${query}`);
        const params = new URLSearchParams(page);
        assert.deepEqual([params.has('ns'), params.has('artifactType')], [false, false]);
      } catch (error) {
        assert.ok(error instanceof RegistryError && error.code === 'PAGINATION_NUMBER_INVALID', String(error));
      }
    }),
  );
});
