import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Digest, digestOf, hexOf } from '../../src/oci/digest.ts';
import type { OciLayout } from './oci-layout.ts';

/** Checks that files named by digest, anywhere below a directory, are these and have the original's bytes. */
export function assertSameBlobs(dir: string, digests: Iterable<Digest>, original: OciLayout): void {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = new Map(files.map(({ parentPath, name }) => [name, join(parentPath, name)]));
  assert.deepEqual([...paths.keys()].toSorted(), [...digests].map(hexOf).toSorted());
  for (const digest of digests) {
    const stored = readFileSync(paths.get(hexOf(digest)) ?? '');
    assert.ok(stored.equals(original.read(digest)), `${digest} differs from the original`);
  }
}

/** Checks that a client that unpacks layers has this image: by the hex of its digest, the config and each layer uncompressed. */
export function assertUnpacked(
  stored: ReadonlyMap<string, Buffer>,
  { config, layers }: ReturnType<OciLayout['manifest']>,
  original: OciLayout,
): void {
  const expected = [original.read(config), ...layers.map((layer) => gunzipSync(original.read(layer)))];
  const names = expected.map((bytes) => hexOf(digestOf(bytes)));
  assert.deepEqual([...stored.keys()].toSorted(), names.toSorted());
  for (const [index, bytes] of expected.entries()) {
    const name = names[index] ?? '';
    assert.ok(stored.get(name)?.equals(bytes), `${name} differs from the original`);
  }
}
