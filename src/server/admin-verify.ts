import type { ServerResponse } from 'node:http';
import type { BlobCache } from '../cache/blobs.ts';
import type { Scrubber } from '../cache/scrubber.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Digest } from '../oci/digest.ts';
import type { Routes } from '../upstream/routes.ts';

/** What blobs are verified and repaired with. */
export interface VerifyParts {
  readonly blobs: BlobCache;
  readonly catalog: Catalog;
  readonly routes: Routes;
  readonly scrubber: Scrubber;
}

/**
 * Hashes every stored blob, and tells of each as a line of JSON: `{digest, verdict, repaired}`. What is damaged is not
 * served from then on; with `repair` it is fetched again at once, as far as it is damaged.
 */
export async function verify(
  parts: VerifyParts,
  repair: boolean,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  for (const digest of parts.scrubber.digests()) {
    const verdict = await parts.scrubber.verify(digest, signal);
    const repaired = verdict !== 'right' && repair && (await refetch(parts, digest, signal));
    response.write(`${JSON.stringify({ digest, verdict, repaired })}\n`);
  }
  response.end();
}

async function refetch({ blobs, catalog, routes }: VerifyParts, digest: Digest, signal: AbortSignal): Promise<boolean> {
  const owner = catalog.manifests.owner(digest);
  if (owner === undefined) return false;
  const resource = { kind: 'blob', digest } as const;
  try {
    const route = routes.resolve({ prefix: undefined, ns: owner.upstream, name: owner.name, resource }, undefined);
    await blobs.expect(route, digest, { share: { servedAt: 0 }, layer: 0 }, signal);
  } catch {
    signal.throwIfAborted();
  }
  return catalog.blobs.find(digest) !== undefined;
}
