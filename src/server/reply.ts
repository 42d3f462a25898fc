import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../async/clock.ts';
import type { RegistryError } from '../oci/errors.ts';

/** Headers that every answer of the registry API has. */
export const apiHeaders = { 'docker-distribution-api-version': 'registry/2.0' } as const;

/** What an answer says that the upstream could not be asked about (yet): distribution-spec, "Warnings", knows only 299. */
export const staleWarning = '299 - "served as it was: the upstream could not be asked whether it has changed"';

/** Sends a complete answer. A HEAD gets the headers of the body that it does not get. */
export function reply(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string | number>>,
  body: Buffer,
): void {
  response.writeHead(status, { ...apiHeaders, 'content-length': body.length, ...closing(request), ...headers });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Sends an error in the shape of the distribution specification. After the headers, there is only cutting. */
export function replyError(
  request: IncomingMessage,
  response: ServerResponse,
  error: RegistryError,
  clock: Clock,
): void {
  if (response.headersSent) {
    cutShort(response, clock);
    return;
  }
  const headers: Record<string, string | number> = { 'content-type': 'application/json' };
  if (error.retryAfter !== undefined) headers['retry-after'] = error.retryAfter;
  if (error.status === 401) headers['www-authenticate'] = 'Basic realm="weir"';
  if (error.status === 405) headers['allow'] = 'GET, HEAD';
  reply(request, response, error.status, headers, Buffer.from(JSON.stringify(error)));
}

/**
 * Ends a response that cannot be completed: FIN, short of what was announced. Clients resume after that; a reset, or an
 * end that looks complete, would fail their pull.
 */
function cutShort(response: ServerResponse, clock: Clock): void {
  const { socket } = response;
  if (socket === null || socket.destroyed) return;
  socket.end();
  // What the client has sent goes on being read meanwhile: destroyed with unread input, a socket sends a reset.
  socket.resume();
  const cancel = clock.after(lingerMs, () => socket.destroy());
  socket.once('close', cancel);
}

const lingerMs = 2000;

/** A request that came with a body nobody will read ends the connection, so that the body never becomes a request. */
function closing({ headers }: IncomingMessage): Record<string, string> {
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
  return hasBody ? { connection: 'close' } : {};
}
