import { get, type IncomingMessage } from 'node:http';
import { get as getByTls } from 'node:https';
import { systemClock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import type { ListenAddress } from '../config/schema.ts';
import type { Settings } from '../config/settings.ts';

/** What a mirror answered. */
export interface Answer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: Buffer;
}

/** How it is asked. */
export interface AskOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds. Default: a mirror that waits for its upstream answers within less. */
  readonly patience?: number;
  /** Whether its certificate has to be right. Default: not, since here it is for the name that nodes know. */
  readonly verified?: boolean;
}

const maxBody = 64 * 1024 * 1024;

/**
 * Sends a GET to a mirror. A user and a password may stand in the URL.
 * @throws Error that says why there is no answer
 */
export async function ask(
  url: URL,
  { headers = {}, patience = 30_000, verified = false }: AskOptions = {},
): Promise<Answer> {
  const deadline = new Deadline(systemClock, () => new Error('the mirror does not answer'));
  deadline.set(patience);
  try {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const options = { headers, agent: false, signal: deadline.signal, rejectUnauthorized: verified };
    (url.protocol === 'https:' ? getByTls : get)(url, options, resolve).once('error', reject);
    const response = await promise;
    const pieces: Buffer[] = [];
    let size = 0;
    for await (const piece of response) {
      size += piece.length;
      if (size > maxBody) throw new Error(`${url.host} answers with more than anybody would`);
      pieces.push(piece);
    }
    const { statusCode: status = 0, headers: answered } = response;
    return { status, contentType: answered['content-type'], body: Buffer.concat(pieces) };
  } catch (error) {
    deadline.signal.throwIfAborted();
    throw error;
  } finally {
    deadline.clear();
  }
}

/** Where the registry API of the mirror is that runs here with these settings. */
export function registryUrl({ listen: [first], tls }: Pick<Settings, 'listen' | 'tls'>): URL {
  return urlOf(first ?? { host: '127.0.0.1', port: 5000 }, tls === undefined ? 'http' : 'https');
}

/** Where its admin address is. */
export function adminUrl({ admin }: Pick<Settings, 'admin'>): URL {
  return urlOf(admin, 'http');
}

/** How a server is reached that listens here. */
export function urlOf({ host, port }: ListenAddress, protocol: 'http' | 'https'): URL {
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  return new URL(`${protocol}://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`);
}
