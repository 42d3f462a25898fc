import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '../../../src/oci/digest.ts';
import { RegistryError } from '../../../src/oci/errors.ts';
import { type Manifest, parseManifest } from '../../../src/oci/manifest.ts';
import { dockerList, dockerManifest, ociIndex, ociManifest, schema1 } from '../../../src/oci/media-types.ts';

const parse = (json: unknown, contentType?: string) => parseManifest(Buffer.from(JSON.stringify(json)), contentType);

function refused(bytes: Uint8Array, contentType?: string): boolean {
  try {
    parseManifest(bytes, contentType);
    return false;
  } catch (error) {
    assert.ok(error instanceof RegistryError, String(error));
    assert.equal(error.code, 'MANIFEST_INVALID');
    return true;
  }
}

const descriptor = fc.record(
  { mediaType: fc.string(), digest: fc.uint8Array().map((bytes) => digestOf(bytes)), size: fc.maxSafeNat() },
  { noNullPrototype: true },
);

test('what a manifest names is found, config first, then layers in order, duplicates kept', () => {
  fc.assert(
    fc.property(descriptor, fc.array(descriptor), fc.dictionary(fc.string(), fc.jsonValue()), (config, some, extra) => {
      const layers = [...some, ...some];
      const known = { schemaVersion: 2, mediaType: ociManifest, config, layers };
      assert.deepEqual(parse({ ...extra, ...known }), {
        mediaType: ociManifest,
        manifests: [],
        blobs: [config, ...layers],
        layers,
      });
    }),
  );
});

test('what an index names is found, in order', () => {
  fc.assert(
    fc.property(fc.array(descriptor), fc.constantFrom(ociIndex, dockerList), (manifests, mediaType) => {
      assert.deepEqual(parse({ schemaVersion: 2, mediaType, manifests }), {
        mediaType,
        manifests,
        blobs: [],
        layers: [],
      });
    }),
  );
});

test('foreign layers are unpacked by nodes, but need not be in the registry', () => {
  const at = (mediaType: string) => ({ mediaType, digest: digestOf(Buffer.from(mediaType)), size: 1 });
  const ours = at('application/vnd.oci.image.layer.v1.tar+gzip');
  const layers = [
    at('application/vnd.oci.image.layer.nondistributable.v1.tar+zstd'),
    ours,
    at('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'),
  ];
  const manifest = parse({ mediaType: ociManifest, config: ours, layers });
  assert.deepEqual(manifest.blobs, [ours, ours]);
  assert.deepEqual(manifest.layers, layers);
});

test('no bytes make it throw anything but MANIFEST_INVALID', () => {
  const text = fc.oneof(fc.json(), fc.string({ unit: 'binary-ascii' })).map((json) => Buffer.from(json));
  const header = fc.option(fc.string(), { nil: undefined });
  fc.assert(fc.property(fc.oneof(fc.uint8Array(), text), header, (bytes, type) => void refused(bytes, type)));
});

test('no value in any of its places makes it throw anything else, and what comes out is what it says', () => {
  const place = fc.oneof(fc.jsonValue(), descriptor, fc.array(fc.oneof(descriptor, fc.jsonValue())));
  const shape = fc.record(
    {
      schemaVersion: fc.constantFrom(1, 2, '2', null),
      mediaType: fc.oneof(fc.constantFrom(ociManifest, ociIndex, dockerManifest, dockerList, schema1), fc.jsonValue()),
      config: place,
      layers: place,
      manifests: place,
      blobs: place,
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(shape, fc.option(fc.string(), { nil: undefined }), (json, contentType) => {
      const bytes = Buffer.from(JSON.stringify(json));
      if (refused(bytes, contentType)) return;
      const { mediaType, manifests, blobs }: Manifest = parseManifest(bytes, contentType);
      // It becomes a header, and a row of the catalog.
      assert.match(mediaType, /^[!-~]+\/[!-~]+$/);
      for (const { digest, size } of [...manifests, ...blobs]) {
        assert.match(digest, /^sha(?:256:[a-f0-9]{64}|512:[a-f0-9]{128})$/);
        assert.ok(Number.isSafeInteger(size) && size >= 0);
      }
    }),
    { numRuns: 1000 },
  );
});

test('a media type that could not be sent as a header counts as none', () => {
  for (const mediaType of ['x\r\nset-cookie: a', 'application/\u2028', 'no slash', 'a/b/c d', '/', 'application/']) {
    assert.equal(parse({ mediaType, layers: [] }).mediaType, ociManifest, JSON.stringify(mediaType));
    assert.equal(parse({ layers: [] }, mediaType).mediaType, ociManifest, JSON.stringify(mediaType));
  }
});

test('content says what it is before its Content-Type does; either may be missing', () => {
  const kinds: readonly (readonly [json: object, header: string | undefined, mediaType: string])[] = [
    [{ mediaType: dockerManifest, layers: [] }, ociManifest, dockerManifest],
    [{ layers: [] }, dockerManifest, dockerManifest],
    [{ layers: [] }, 'text/plain; charset=utf-8', ociManifest],
    [{ layers: [] }, undefined, ociManifest],
    [{ config: { digest: digestOf(Buffer.from('{}')), size: 2 }, layers: null }, undefined, ociManifest],
    [{ manifests: [] }, dockerList, dockerList],
    [{ manifests: [] }, ociManifest, ociIndex],
    [{ schemaVersion: 1 }, undefined, schema1],
    [
      { schemaVersion: 1, layers: 3 },
      'application/vnd.docker.distribution.manifest.v1+json',
      'application/vnd.docker.distribution.manifest.v1+json',
    ],
    [{ blobs: [] }, 'application/vnd.oci.artifact.manifest.v1+json', 'application/vnd.oci.artifact.manifest.v1+json'],
    [{ mediaType: ` ${ociIndex.toUpperCase()} ; x=y`, manifests: [] }, undefined, ociIndex],
  ];
  for (const [json, header, mediaType] of kinds) assert.equal(parse(json, header).mediaType, mediaType);
  assert.ok(refused(Buffer.from('{}'), 'application/json'));
});

test('descriptors of content that cannot be verified here are left out; ones without digest or size are refused', () => {
  const layer = { mediaType: 'x', digest: digestOf(Buffer.from('x')), size: 1 };
  const foreign = { ...layer, digest: 'blake3:af1349' };
  assert.deepEqual(parse({ layers: [foreign, layer, foreign] }).blobs, [layer]);
  const wrong = [{ size: -1 }, { size: 1.5 }, { size: 2 ** 53 }, { size: '1' }, { size: null }, { digest: 7 }];
  for (const change of wrong) {
    assert.ok(refused(Buffer.from(JSON.stringify({ layers: [{ ...layer, ...change }] }))), JSON.stringify(change));
  }
  assert.ok(refused(Buffer.from('{"layers":[null]}')));
  assert.ok(refused(Buffer.from('{"layers":[],"x":"\xff"}', 'latin1')));
  assert.ok(refused(Buffer.from('{"layers":{}}')));
  assert.ok(refused(Buffer.from('{"config":null,"layers":[]}')));
});

test('a manifest names ten thousand contents at most', () => {
  const layer = { mediaType: 'x', digest: digestOf(Buffer.from('x')), size: 1 };
  const manifest = (count: number) => Buffer.from(JSON.stringify({ layers: new Array(count).fill(layer) }));
  assert.ok(!refused(manifest(10_000)));
  assert.ok(refused(manifest(10_001)));
});
