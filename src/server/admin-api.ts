import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../async/clock.ts';
import type { Images } from '../cache/images.ts';
import type { ManifestCache } from '../cache/manifests.ts';
import { nameOf } from '../cache/repository-name.ts';
import type { Warming } from '../cache/warming.ts';
import type { RepositoryName } from '../catalog/catalog.ts';
import { describeError, type Log } from '../metrics/log.ts';
import { RegistryError } from '../oci/errors.ts';
import { type ImageName, parseImageName } from '../oci/image-name.ts';
import type { Reference } from '../oci/pull-path.ts';
import type { Route } from '../upstream/routes.ts';
import { answerJson, answerUnknown } from './admin.ts';
import { type VerifyParts, verify } from './admin-verify.ts';
import { warm } from './admin-warm.ts';
import { toRegistryError } from './errors.ts';
import { readJsonBody } from './json-body.ts';
import { replyError } from './reply.ts';

/** What the admin API works on. */
export interface AdminParts extends VerifyParts {
  readonly images: Images;
  readonly manifests: ManifestCache;
  readonly warming: Warming;
  readonly clock: Clock;
  readonly log: Log;
}

/** An image that a request names. */
export interface NamedImage {
  readonly route: Route;
  readonly reference: Reference;
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What stands behind the path, decoded. */
  readonly rest: string;
  readonly query: URLSearchParams;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

type Operation = (parts: AdminParts, call: Call) => Promise<void>;

/** By method and path; `*` stands for the name of an image. */
const operations: Readonly<Record<string, Operation>> = {
  'GET /api/images': ({ images }, call) => json(call, images.list()),
  'DELETE /api/images/*': remove,
  'POST /api/images/*': refresh,
  'POST /api/pins': pin,
  'DELETE /api/pins/*': unpin,
  'POST /api/verify': async (parts, { request, response, signal }) => {
    const { repair } = await readJsonBody(request);
    await verify(parts, repair === true, response, signal);
  },
  'POST /api/warm': async (parts, { request, response, signal }) => {
    const { images, platforms } = await readJsonBody(request);
    const named = texts(images, 'images').map((text) => ({ text, ...imageOf(parts, text) }));
    await warm(
      parts.warming,
      named,
      platforms === undefined ? undefined : texts(platforms, 'platforms'),
      response,
      signal,
    );
  },
};

/** Answers what changes the cache, or lists it. Never throws. */
export async function answerApi(parts: AdminParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const left = new AbortController();
  response.once('close', () => left.abort(new Error('the client is gone')));
  const [path = '', query] = (request.url ?? '').split('?', 2);
  const [, collection = path, rest = ''] = /^(\/api\/[a-z]+)\/(.+)$/.exec(path) ?? [];
  const operation = operations[`${request.method} ${collection}${rest === '' ? '' : '/*'}`];
  if (operation === undefined) return answerUnknown(request, response);
  try {
    const call = { request, response, rest: decode(rest), query: new URLSearchParams(query), signal: left.signal };
    await operation(parts, call);
  } catch (error) {
    if (left.signal.aborted) return;
    parts.log.info({ path, error: describeError(error) }, 'a call of the admin API failed');
    replyError(request, response, toRegistryError(error, 'manifest'), parts.clock);
  }
}

async function remove(parts: AdminParts, call: Call): Promise<void> {
  for (const { repository, reference } of meanings(parts, call.rest)) {
    if (parts.images.isPinned(repository, reference)) {
      throw new RegistryError('DENIED', { status: 409, message: 'the image is pinned: unpin it first' });
    }
    if (await parts.images.remove(repository, reference)) return json(call, { removed: true });
  }
  throw unknown();
}

/** With `?refresh`, a tag becomes what it is at the upstream now. */
async function refresh(parts: AdminParts, call: Call): Promise<void> {
  if (!call.query.has('refresh')) throw new RegistryError('UNSUPPORTED', { detail: 'POST takes ?refresh' });
  const { route, reference } = imageOf(parts, call.rest);
  const { digest } = await parts.manifests.resolve(route, reference, call.signal, { anew: true });
  await json(call, { digest });
}

async function pin(parts: AdminParts, call: Call): Promise<void> {
  const { image } = await readJsonBody(call.request);
  const { route, reference } = imageOf(parts, image);
  parts.images.pin(nameOf(route), reference);
  await json(call, { pinned: true });
}

async function unpin(parts: AdminParts, call: Call): Promise<void> {
  for (const { repository, reference } of meanings(parts, call.rest)) {
    if (parts.images.unpin(repository, reference)) return json(call, { pinned: false });
  }
  throw unknown();
}

/**
 * What a name may mean where nothing is pulled: first as images are listed, even if their upstream is not configured any
 * more, or does not allow them now; then as pulls are routed. @throws RegistryError
 */
function* meanings(parts: AdminParts, text: string): Generator<{ repository: RepositoryName; reference: Reference }> {
  const { name, reference } = parse(text);
  const [, upstream, rest] = /^([^/]+)\/(.+)$/.exec(name) ?? [];
  if (upstream !== undefined && rest !== undefined) yield { repository: { upstream, name: rest }, reference };
  yield { repository: nameOf(imageOf(parts, text).route), reference };
}

function imageOf({ routes }: AdminParts, text: unknown): NamedImage {
  const { name, reference } = parse(text);
  const path = { prefix: undefined, ns: undefined, name, resource: { kind: 'manifest', reference } } as const;
  return { route: routes.resolve(path, undefined), reference };
}

function parse(text: unknown): ImageName {
  const named = typeof text === 'string' ? parseImageName(text) : undefined;
  if (named === undefined) {
    throw new RegistryError('NAME_INVALID', {
      message: `${JSON.stringify(text)} is no image like docker.io/library/busybox:1`,
    });
  }
  return named;
}

function texts(value: unknown, name: string): string[] {
  if (Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string')) return value;
  throw new RegistryError('NAME_INVALID', { message: `${name} has to be a list of texts` });
}

function unknown(): RegistryError {
  return new RegistryError('MANIFEST_UNKNOWN', { message: 'there is no such image here' });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new RegistryError('NAME_INVALID', { cause });
  }
}

function json({ request, response }: Call, value: unknown): Promise<void> {
  return answerJson(value, request, response);
}
