import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Listings } from '../cache/listings.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { type ListQuery, parseListQuery } from '../oci/list-query.ts';
import { ofTypes } from '../oci/listings.ts';
import { ociIndex } from '../oci/media-types.ts';
import type { PullPath } from '../oci/pull-path.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { Route } from '../upstream/routes.ts';
import { reply, staleWarning } from './reply.ts';

/** One request for a list. */
export interface ListRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: PullPath;
  readonly route: Route;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

type Headers = Record<string, string>;

/** Answers a request for tags: distribution-spec, "Listing Tags". @throws UpstreamError, RegistryError; the signal's reason. */
export async function sendTags(listings: Listings, list: ListRequest): Promise<void> {
  const { request, response, path, route, signal } = list;
  const query = parseListQuery(request.url ?? '');
  const { tags, next } = query.n === 0 ? noTags : await pageOfTags(listings, route, query, signal);
  const headers: Headers = { 'content-type': 'application/json', 'cache-control': 'no-cache' };
  if (next !== undefined) headers['link'] = linkTo(path, 'tags/list', next, query);
  reply(request, response, 200, headers, Buffer.from(JSON.stringify({ name: path.name, tags })));
}

/** Answers a request for referrers: distribution-spec, "Listing Referrers". @throws UpstreamError, RegistryError; the signal's reason. */
export async function sendReferrers(listings: Listings, list: ListRequest, digest: Digest): Promise<void> {
  const { request, response, path, route, signal } = list;
  const query = parseListQuery(request.url ?? '');
  const { descriptors, next, stale } = await listings.referrers(route, digest, query.page, signal);
  const headers: Headers = { 'content-type': ociIndex, 'cache-control': 'no-cache' };
  if (query.artifactTypes.length > 0) headers['oci-filters-applied'] = 'artifactType';
  if (next !== undefined) headers['link'] = linkTo(path, `referrers/${digest}`, next, query);
  if (stale) headers['warning'] = staleWarning;
  const index = { schemaVersion: 2, mediaType: ociIndex, manifests: ofTypes(descriptors, query.artifactTypes) };
  reply(request, response, 200, headers, Buffer.from(JSON.stringify(index)));
}

const noTags = { tags: [], next: undefined };

async function pageOfTags(listings: Listings, route: Route, { n, page }: ListQuery, signal: AbortSignal) {
  try {
    return await listings.tags(route, page, signal);
  } catch (cause) {
    const refused = cause instanceof UpstreamError && cause.status === 400 && n !== undefined;
    throw refused ? new RegistryError('PAGINATION_NUMBER_INVALID', { cause }) : cause;
  }
}

/** Clients replay the path and the query of a link at this mirror: both have to be as the client would write them. */
function linkTo({ prefix, name, ns }: PullPath, tail: string, page: string, { artifactTypes }: ListQuery): string {
  const params = new URLSearchParams(page);
  for (const type of artifactTypes) params.append('artifactType', type);
  if (ns !== undefined) params.set('ns', ns);
  const before = prefix === undefined ? '' : `/${prefix}`;
  return `<${before}/v2/${name}/${tail}?${params}>; rel="next"`;
}
