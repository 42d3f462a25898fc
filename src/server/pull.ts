import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Listings } from '../cache/listings.ts';
import type { ManifestCache } from '../cache/manifests.ts';
import type { Promises } from '../cache/promises.ts';
import type { Turn } from '../cache/reader.ts';
import { describeError } from '../metrics/log.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { type PullPath, parsePullPath } from '../oci/pull-path.ts';
import type { Prefetch } from '../pulls/prefetch.ts';
import type { Sessions } from '../pulls/sessions.ts';
import type { Route, Routes } from '../upstream/routes.ts';
import { type AccessParts, AccessRecord } from './access-log.ts';
import type { Admission } from './admission.ts';
import { type Asked, toRegistryError } from './errors.ts';
import type { Logins } from './logins.ts';
import { reply, replyError } from './reply.ts';
import { type BlobParts, sendBlob } from './send-blob.ts';
import { sendReferrers, sendTags } from './send-list.ts';
import { sendManifest } from './send-manifest.ts';

/** What the registry API is made of. */
export interface PullParts extends BlobParts, AccessParts {
  readonly routes: Routes;
  readonly manifests: ManifestCache;
  readonly promises: Promises;
  readonly listings: Listings;
  readonly sessions: Sessions;
  /** `undefined`: nothing is fetched ahead. */
  readonly prefetch: Prefetch | undefined;
  readonly admission: Admission;
  /** Who may use the mirror; `undefined` for everybody. */
  readonly logins: Logins | undefined;
  /** Who a request comes from. */
  readonly clientOf: (request: IncomingMessage) => string;
}

/** One request to the registry API, on its way through. */
interface Visit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly record: AccessRecord;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/** Answers every request outside the probes: the registry API, read only. Never throws. */
export async function answerPull(parts: PullParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const record = new AccessRecord(request, parts.clientOf(request), parts.clock);
  const left = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) left.abort(new ClientGoneError('the client is gone'));
    record.finish(response.statusCode, response.writableFinished, parts);
  });
  const visit = { request, response, record, signal: left.signal };
  try {
    await answer(parts, visit);
  } catch (error) {
    // A write may find out that the client is gone before its connection says so.
    if (left.signal.aborted || request.socket.destroyed) return;
    record.error = describeError(error);
    replyError(request, response, toRegistryError(error, askedOf(record)), parts.clock);
  }
}

async function answer(parts: PullParts, visit: Visit): Promise<void> {
  const { request, record } = visit;
  const target = request.url ?? '';
  await parts.logins?.check(request.headers.authorization);
  // What begins from here on is ended when the connection is closed, and would not be where it is closed already.
  visit.signal.throwIfAborted();
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new RegistryError('UNSUPPORTED', { detail: 'this is a read-only mirror' });
  }
  const path = parsePullPath(target);
  if (path === undefined) throw new RegistryError('NAME_UNKNOWN', { detail: 'the registry API begins with /v2/' });
  if (path === 'ping') {
    record.route = 'ping';
    parts.admission.check();
    return reply(request, visit.response, 200, { 'content-type': 'application/json' }, Buffer.from('{}'));
  }
  record.route = path.resource.kind;
  const route = parts.routes.resolve(path, request.headers.host);
  await answerResource(parts, visit, path, route);
}

async function answerResource(parts: PullParts, visit: Visit, path: PullPath, route: Route): Promise<void> {
  const image = imageOf(route);
  // Behind an upstream before /v2/ it was not looked at, and may be anything.
  if (path.ns !== undefined && path.prefix === undefined) visit.response.setHeader('oci-namespace', path.ns);
  switch (path.resource.kind) {
    case 'manifest':
      return answerManifest(parts, visit, path.resource, route, image);
    case 'blob':
      return answerBlob(parts, visit, path.resource, route, image);
    case 'tags':
      visit.record.image = image;
      return sendTags(parts.listings, { ...visit, path, route });
    case 'referrers':
      visit.record.image = `${image}@${path.resource.digest}`;
      return sendReferrers(parts.listings, { ...visit, path, route }, path.resource.digest);
  }
}

async function answerManifest(
  parts: PullParts,
  { request, response, record, signal }: Visit,
  { reference }: PullPath['resource'] & { kind: 'manifest' },
  route: Route,
  image: string,
): Promise<void> {
  const byTag = 'tag' in reference;
  record.image = byTag ? `${image}:${reference.tag}` : `${image}@${reference.digest}`;
  const promised = !byTag && parts.sessions.isPromised(record.puller, image, reference.digest);
  if (!promised) parts.admission.check();
  const manifest = await parts.manifests.resolve(route, reference, signal);
  await parts.promises.check(route, manifest, signal);
  const { digest, contents } = manifest;
  record.digest = digest;
  parts.sessions.begin(record.puller, image, { name: record.image, digest, contents }, request.socket);
  sendManifest(request, response, manifest, byTag);
}

async function answerBlob(
  parts: PullParts,
  visit: Visit,
  { digest }: PullPath['resource'] & { kind: 'blob' },
  route: Route,
  image: string,
): Promise<void> {
  const { record, request } = visit;
  record.image = image;
  record.digest = digest;
  const promised = parts.sessions.isPromised(record.puller, image, digest);
  if (!promised) parts.admission.check();
  const downloads = request.method === 'GET' && request.headers['if-none-match'] === undefined;
  const turn = downloads ? beginStream(parts, visit, route, digest) : { share: { servedAt: 0 }, layer: 0 };
  await sendBlob(parts, { ...visit, route, digest, turn });
}

function beginStream(
  { sessions, prefetch }: PullParts,
  { request, record }: Visit,
  route: Route,
  digest: Digest,
): Turn {
  const repository = imageOf(route);
  const from = offsetOf(request.headers.range);
  record.stream = sessions.request(record.puller, { repository, digest, from, connection: request.socket });
  if (record.stream.layer >= 0 && from !== undefined) prefetch?.follow(record.stream.pull, route);
  return { share: record.stream.pull.share, layer: record.stream.layer };
}

/** A repository with its upstream, as the log and the sessions call it. */
function imageOf({ registry, repository }: Route): string {
  return `${registry.name}/${repository}`;
}

/** From where on a request takes a blob to its end; `undefined`: it takes less. */
function offsetOf(range: string | undefined): number | undefined {
  if (range === undefined) return 0;
  const [, first] = /^bytes=(\d+)-$/.exec(range) ?? [];
  return first === undefined ? undefined : Number(first);
}

function askedOf({ route }: AccessRecord): Asked {
  return route === 'manifest' || route === 'blob' || route === 'referrers' ? route : 'other';
}

/** The client has closed its connection: there is nobody to tell anything. */
class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError';
}
