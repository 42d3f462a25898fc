import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Metrics } from '../metrics/metrics.ts';
import { reply } from './reply.ts';

/** `/metrics`, in Prometheus text format. */
export async function answerMetrics(
  metrics: Metrics,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  reply(request, response, 200, { 'content-type': metrics.contentType }, Buffer.from(await metrics.text()));
}

/** Anything, as JSON: never from a cache. */
export function answerJson(value: unknown, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const headers = {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  };
  reply(request, response, 200, headers, Buffer.from(JSON.stringify(value)));
  return Promise.resolve();
}

/** What the admin address does not know. */
export function answerUnknown(request: IncomingMessage, response: ServerResponse): Promise<void> {
  reply(request, response, 404, { 'content-type': 'text/plain; charset=utf-8' }, Buffer.from('not found\n'));
  return Promise.resolve();
}
