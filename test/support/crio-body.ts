import { type Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** What made a pull fail, in the words of the runtime. */
export class PullError extends Error {
  override readonly name = 'PullError';
}

/** One blob request of a node. */
export interface BodyRequest {
  readonly url: string;
  readonly agent: Agent;
  readonly headers: Readonly<Record<string, string>>;
  /** Real milliseconds for one of the node's. */
  readonly scale: number;
  /** The pull's context: everything ends with it. */
  readonly signal: AbortSignal;
}

const enoughProgress = 1024 * 1024;
const enoughTime = 60_000;

/** Sends a GET and waits for the headers. @throws PullError */
export function open(
  { url, agent, headers, signal }: BodyRequest,
  more: Readonly<Record<string, string>> = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) =>
      reject(new PullError(`Get "${url}": ${signal.aborted ? 'context canceled' : error.message}`));
    get(url, { agent, headers: { ...headers, ...more }, signal }, resolve).on('error', fail);
  });
}

/**
 * Reads a blob as containers/image does (docker/body_reader.go): what ends short is asked for again from there, if it is
 * the first time, or 1 MiB or 60 s have passed since the last time.
 * @throws PullError
 */
export async function* readBlob(request: BodyRequest): AsyncGenerator<Buffer, void, void> {
  let response = await open(request);
  if (response.statusCode !== 200) throw refused(response, 'fetching blob');
  const retries = new Retries(request.scale);
  let offset = 0;
  for (;;) {
    try {
      for await (const chunk of response) {
        offset += chunk.length;
        yield chunk;
      }
      return;
    } catch {
      if (request.signal.aborted) throw new PullError('happened during read: context canceled');
      retries.begin(offset);
      response = await resume(request, offset);
    }
  }
}

/** Whether a body that ended short is worth another request. */
class Retries {
  readonly #scale: number;
  #last: { readonly offset: number; readonly at: number } | undefined;

  constructor(scale: number) {
    this.#scale = scale;
  }

  /** @throws PullError where it is not. */
  begin(offset: number): void {
    const now = performance.now();
    if (this.#last !== undefined) {
      const ms = (now - this.#last.at) / this.#scale;
      if (offset - this.#last.offset < enoughProgress && ms < enoughTime) {
        throw new PullError(
          `(heuristic tuning data: last retry ${this.#last.offset}, current offset ${offset}): unexpected EOF`,
        );
      }
    }
    this.#last = { offset, at: now };
  }
}

async function resume(request: BodyRequest, offset: number): Promise<IncomingMessage> {
  await sleep((1000 + 100 * Math.random()) * request.scale);
  const response = await open(request, { range: `bytes=${offset}-` });
  if (response.statusCode !== 206) throw refused(response, 'unexpected EOF (after reconnecting)');
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers['content-range'] ?? '') ?? [];
  if (Number(first) === offset && (total === '*' || Number(last) + 1 === Number(total))) return response;
  response.destroy();
  throw new PullError('unexpected EOF (after reconnecting, got unexpected Content-Range)');
}

function refused(response: IncomingMessage, what: string): PullError {
  response.resume();
  return new PullError(`${what}: status ${response.statusCode}`);
}
