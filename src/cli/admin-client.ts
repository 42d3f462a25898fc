import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { request as requestByTls } from 'node:https';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { systemClock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import type { Settings } from '../config/settings.ts';
import { adminUrl } from './ask.ts';
import { UsageError } from './usage.ts';

/** Nobody listens at the admin address. */
export class NotRunningError extends Error {
  override readonly name = 'NotRunningError';
  /** Where it was looked for: host and port. */
  readonly place: string;

  constructor(place: string) {
    super(`no mirror runs at ${place}: --config or --admin says where it is`);
    this.place = place;
  }
}

/** Flags of all commands that talk to a running mirror. */
export const adminOptions = {
  config: { type: 'string' },
  admin: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

/** How long it is waited for, in milliseconds. */
export interface AdminPatience {
  /** For an answer. Default: a mirror that asks its upstream answers within less. */
  readonly call: number;
  /** For the next line. Default: the largest blob is hashed within less. */
  readonly line: number;
}

/** A running mirror, as its administrator reaches it. */
export class AdminClient {
  readonly #url: URL;
  readonly #settings: Pick<Settings, 'adminToken'>;
  readonly #patience: AdminPatience;

  /** `admin`: where it is; default: where these settings say. @throws UsageError */
  constructor(
    settings: Pick<Settings, 'admin' | 'adminToken'>,
    admin: string | undefined,
    patience: AdminPatience = { call: 30_000, line: 600_000 },
  ) {
    this.#url = admin === undefined ? adminUrl(settings) : parseUrl(admin);
    this.#settings = settings;
    this.#patience = patience;
  }

  /** Calls the admin API. @throws NotRunningError; Error with what the mirror said, or why nothing is sent */
  async call(method: string, path: string, body?: object): Promise<unknown> {
    const deadline = newDeadline();
    deadline.set(this.#patience.call);
    try {
      return JSON.parse(await text(await this.#send(method, path, body, deadline.signal)));
    } catch (error) {
      deadline.signal.throwIfAborted();
      throw error;
    } finally {
      deadline.clear();
    }
  }

  /** The lines of JSON that a call answers with, as they come. @throws as `call` */
  async *lines(method: string, path: string, body?: object): AsyncGenerator<Record<string, unknown>> {
    const deadline = newDeadline();
    deadline.set(this.#patience.line);
    try {
      for await (const line of createInterface({ input: await this.#send(method, path, body, deadline.signal) })) {
        yield JSON.parse(line);
        deadline.set(this.#patience.line);
      }
      deadline.signal.throwIfAborted();
    } catch (error) {
      deadline.signal.throwIfAborted();
      throw error;
    } finally {
      deadline.clear();
    }
  }

  async #send(method: string, path: string, body: object | undefined, signal: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const send = this.#url.protocol === 'https:' ? requestByTls : request;
    const options = { method, headers: this.#authorization(method), agent: false, signal } as const;
    const outgoing = send(new URL(`/api/${path}`, this.#url), options, resolve);
    outgoing.once('error', (error) => reject(this.#describe(error)));
    outgoing.end(body && JSON.stringify(body));
    const response = await promise;
    if (response.statusCode === 200) return response;
    throw new Error(reasonOf(response.statusCode ?? 0, await text(response)));
  }

  /** Only changes need the token: who may not read it can still look. */
  #authorization(method: string): Readonly<Record<string, string>> {
    const file = method === 'GET' ? undefined : this.#settings.adminToken?.file;
    return file === undefined ? {} : { authorization: `Bearer ${readFileSync(file, 'utf8').trim()}` };
  }

  #describe(error: Error): Error {
    if (!('code' in error) || error.code !== 'ECONNREFUSED') return error;
    return new NotRunningError(this.#url.host);
  }
}

function newDeadline(): Deadline {
  return new Deadline(systemClock, () => new Error('the mirror does not answer'));
}

function parseUrl(address: string): URL {
  const url = URL.parse(/^https?:/.test(address) ? address : `http://${address}`);
  if (url === null) throw new UsageError(`--admin expects a URL, and ${address} is none`);
  return url;
}

function reasonOf(status: number, body: string): string {
  try {
    const [error] = JSON.parse(body).errors;
    return typeof error.detail === 'string' ? `${error.message}: ${error.detail}` : error.message;
  } catch {
    return `the mirror answers with ${status}`;
  }
}
