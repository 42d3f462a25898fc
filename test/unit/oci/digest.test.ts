import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { algorithmOf, digestOf, hexOf, isDigest, isForeignDigest } from '../../../src/oci/digest.ts';

const algorithm = fc.constantFrom('sha256' as const, 'sha512' as const);

test('the digest of any bytes is one that can be verified, and comes apart again', () => {
  fc.assert(
    fc.property(fc.uint8Array(), algorithm, (bytes, name) => {
      const digest = digestOf(bytes, name);
      assert.ok(isDigest(digest) && !isForeignDigest(digest));
      assert.equal(algorithmOf(digest), name);
      assert.equal(hexOf(digest), createHash(name).update(bytes).digest('hex'));
    }),
  );
});

test('a digest with one character more, less, or in upper case is none', () => {
  fc.assert(
    fc.property(fc.uint8Array(), algorithm, fc.nat(), (bytes, name, seed) => {
      const digest = digestOf(bytes, name);
      const at = name.length + 1 + (seed % hexOf(digest).length);
      const broken = [
        `${digest}0`,
        digest.slice(0, -1),
        `${digest.slice(0, at)}A${digest.slice(at + 1)}`,
        ` ${digest}`,
      ];
      for (const text of [...broken, `${digest}\n`]) {
        assert.ok(!isDigest(text), text);
        // Content that should be verifiable, and is not, is malformed rather than foreign.
        assert.ok(!isForeignDigest(text), text);
      }
    }),
  );
});

test('what is said to be a digest is safe as the name of a file', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.anything()), (value) => {
      if (isDigest(value)) assert.match(hexOf(value), /^[a-f0-9]+$/);
    }),
  );
});

test('digests of other algorithms are told apart from what is no digest', () => {
  for (const text of ['md5:d41d8cd9', 'blake3:af13', 'sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g', 'sha3-512:0=']) {
    assert.ok(isForeignDigest(text), text);
  }
  for (const text of ['', ':', 'md5:', ':abc', 'MD5:abc', 'md5:a/b', 'md5:../..', 'md5', 'sha256:short', 'a..b:c']) {
    assert.ok(!isForeignDigest(text), text);
  }
});
