import type { IncomingMessage, ServerResponse } from 'node:http';
import type { BufferBudget } from '../async/buffers.ts';
import type { Clock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import type { BlobCache, OpenBlob } from '../cache/blobs.ts';
import type { BlobReader, Turn } from '../cache/reader.ts';
import { matchesNone, rangeApplies } from '../http/conditional.ts';
import { type Interval, MultipleRangeError, parseRange, type RangeOutcome, resolveRange } from '../http/range.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { Route } from '../upstream/routes.ts';
import type { AccessRecord } from './access-log.ts';
import { Multipart } from './multipart.ts';
import type { Pacer } from './pacer.ts';
import { apiHeaders, reply } from './reply.ts';
import { sendBody } from './send-body.ts';

/** What blobs are sent with. */
export interface BlobParts {
  readonly blobs: BlobCache;
  readonly budget: BufferBudget;
  readonly pacer: Pacer;
  readonly clock: Clock;
}

/** One request for a blob. */
export interface BlobRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: Route;
  readonly digest: Digest;
  readonly turn: Turn;
  readonly record: AccessRecord;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/** Clients that can turn to another mirror are told to within this. */
const patience = 8000;

type Headers = Record<string, string | number>;

/**
 * Answers a GET or HEAD of a blob: distribution-spec "Pulling blobs", RFC 9110 §13–14. No header is sent before the
 * first byte is in hand: until then, an error can still be said.
 * @throws UpstreamError, RegistryError, StorageError; the signal's reason.
 */
export async function sendBlob(parts: BlobParts, blob: BlobRequest): Promise<void> {
  const { request, response, route, digest, signal } = blob;
  const headers: Headers = {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    'cache-control': 'max-age=31536000, immutable',
  };
  const late = () => new UpstreamError(route.registry.name, 'timeout', 'no first byte in time');
  const deadline = new Deadline(parts.clock, late, signal);
  if (blob.record.runtime.fallsBack) deadline.set(patience);
  try {
    if (matchesNone(request.headers['if-none-match'], digest)) {
      await parts.blobs.size(route, digest, deadline.signal);
      response.writeHead(304, { ...apiHeaders, ...headers });
      response.end();
    } else if (request.method === 'HEAD') {
      await sendHead(parts, blob, headers, deadline.signal);
    } else {
      const open = await parts.blobs.open(route, digest, blob.turn, deadline.signal);
      blob.record.blob = open;
      await sendContent(parts, blob, open, headers, deadline);
    }
  } finally {
    deadline.clear();
  }
}

async function sendHead(parts: BlobParts, blob: BlobRequest, headers: Headers, signal: AbortSignal): Promise<void> {
  const { response, route, digest, turn } = blob;
  const size =
    (await parts.blobs.size(route, digest, signal)) ?? (await sizeByOpening(parts, route, digest, turn, signal));
  response.writeHead(200, { ...apiHeaders, ...headers, ...(size === undefined ? {} : { 'content-length': size }) });
  response.end();
}

async function sizeByOpening(
  { blobs }: BlobParts,
  route: Route,
  digest: Digest,
  turn: Turn,
  signal: AbortSignal,
): Promise<number | undefined> {
  const open = await blobs.open(route, digest, turn, signal);
  await open.close();
  return open.size;
}

async function sendContent(
  parts: BlobParts,
  blob: BlobRequest,
  open: OpenBlob,
  headers: Headers,
  deadline: Deadline,
): Promise<void> {
  const { request, response, record, signal } = blob;
  const outcome = await rangeOf(request, open, blob.digest);
  if (outcome.kind === 'unsatisfiable') {
    await open.close();
    const error = new RegistryError('RANGE_INVALID');
    const errorHeaders = { 'content-type': 'application/json', 'content-range': `bytes */${open.size}` };
    reply(request, response, error.status, errorHeaders, Buffer.from(JSON.stringify(error)));
    return;
  }
  const { intervals, start, status, rangeHeaders, multipart } = framing(outcome, open.size);
  const content = open.read(intervals);
  const reader = multipart === undefined ? content : multipart.over(content, parts.budget);
  record.wasHeld = open.origin === 'hit' || reader.ready(start) === reader.end;
  await firstByte(reader, start, deadline);
  response.writeHead(status, { ...apiHeaders, ...headers, ...rangeHeaders });
  await sendBody(response, reader, start, { budget: parts.budget, pacer: parts.pacer, record, signal });
}

async function rangeOf(request: IncomingMessage, open: OpenBlob, digest: Digest): Promise<RangeOutcome> {
  const { size } = open;
  // Without a size there is no range to speak of: the whole is served (RFC 9110 §14.2).
  if (size === undefined || !rangeApplies(request.headers['if-range']?.toString(), digest)) return { kind: 'whole' };
  try {
    return resolveRange(parseRange(request.headers.range), size);
  } catch (cause) {
    await open.close();
    if (!(cause instanceof MultipleRangeError)) throw cause;
    throw new RegistryError('RANGE_INVALID', { status: 400, detail: cause.message, cause });
  }
}

interface Framing {
  /** What is read of the blob. An infinite end: to the end, whose last byte waits for the digest. */
  readonly intervals: readonly Interval[];
  /** Where the body begins, as its reader counts. */
  readonly start: number;
  readonly status: 200 | 206;
  readonly rangeHeaders: Headers;
  readonly multipart?: Multipart;
}

function framing(outcome: RangeOutcome & { kind: 'whole' | 'single' | 'multiple' }, size: number | undefined): Framing {
  const toTheEnd = Number.POSITIVE_INFINITY;
  if (outcome.kind === 'whole' || size === undefined) {
    const rangeHeaders: Headers = size === undefined ? {} : { 'content-length': size };
    return { intervals: [{ start: 0, end: toTheEnd }], start: 0, status: 200, rangeHeaders };
  }
  if (outcome.kind === 'multiple') {
    const { intervals } = outcome;
    const multipart = new Multipart(intervals, size);
    const rangeHeaders = { 'content-type': multipart.contentType, 'content-length': multipart.length };
    return { intervals, start: 0, status: 206, rangeHeaders, multipart };
  }
  const { start, end } = outcome.interval;
  const rangeHeaders = { 'content-range': `bytes ${start}-${end - 1}/${size}`, 'content-length': end - start };
  return { intervals: [{ start, end: outcome.openEnded ? toTheEnd : end }], start, status: 206, rangeHeaders };
}

async function firstByte(reader: BlobReader, start: number, deadline: Deadline): Promise<void> {
  try {
    await reader.arrival(start, deadline.signal);
  } catch (error) {
    await reader.close();
    throw error;
  } finally {
    deadline.clear();
  }
}
