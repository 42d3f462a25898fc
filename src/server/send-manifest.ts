import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServedManifest } from '../cache/manifests.ts';
import { matchesNone } from '../http/conditional.ts';
import { apiHeaders, reply, staleWarning } from './reply.ts';

/** Sends a manifest, byte for byte: distribution-spec "Pulling manifests". `byTag`: what the tag means may change. */
export function sendManifest(
  request: IncomingMessage,
  response: ServerResponse,
  { bytes, digest, mediaType, stale }: ServedManifest,
  byTag: boolean,
): void {
  const headers: Record<string, string | number> = {
    'content-type': mediaType,
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    'cache-control': byTag ? 'no-cache' : 'max-age=31536000, immutable',
  };
  if (stale !== undefined) headers['warning'] = staleWarning;
  if (matchesNone(request.headers['if-none-match'], digest)) {
    response.writeHead(304, { ...apiHeaders, ...headers });
    response.end();
    return;
  }
  reply(request, response, 200, headers, bytes);
}
