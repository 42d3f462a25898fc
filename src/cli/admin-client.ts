import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { Settings } from '../config/settings.ts';
import { adminUrl } from './ask.ts';
import { UsageError } from './usage.ts';

/** Nobody listens at the admin address. */
export class NotRunningError extends Error {
  override readonly name = 'NotRunningError';
}

/** Flags of all commands that talk to a running mirror. */
export const adminOptions = {
  config: { type: 'string' },
  admin: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

/** A running mirror, as its administrator reaches it. */
export class AdminClient {
  readonly #url: URL;
  readonly #token: string | undefined;

  /** `admin`: where it is; default: where these settings say. @throws UsageError; the system's error for the token */
  constructor(settings: Pick<Settings, 'admin' | 'adminToken'>, admin: string | undefined) {
    this.#url = admin === undefined ? adminUrl(settings) : parseUrl(admin);
    this.#token = settings.adminToken && readFileSync(settings.adminToken.file, 'utf8').trim();
  }

  /** Calls the admin API. @throws NotRunningError; Error with what the mirror said */
  async call(method: string, path: string, body?: object): Promise<unknown> {
    return JSON.parse(await text(await this.#send(method, path, body)));
  }

  /** The lines of JSON that a call answers with, as they come. @throws as `call` */
  async *lines(method: string, path: string, body?: object): AsyncGenerator<Record<string, unknown>> {
    for await (const line of createInterface({ input: await this.#send(method, path, body) })) yield JSON.parse(line);
  }

  async #send(method: string, path: string, body: object | undefined): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
    const outgoing = request(new URL(`/api/${path}`, this.#url), { method, headers, agent: false }, resolve);
    outgoing.once('error', (error) => reject(this.#describe(error)));
    outgoing.end(body && JSON.stringify(body));
    const response = await promise;
    if (response.statusCode === 200) return response;
    throw new Error(reasonOf(response.statusCode ?? 0, await text(response)));
  }

  #describe(error: Error): Error {
    if (!('code' in error) || error.code !== 'ECONNREFUSED') return error;
    return new NotRunningError(`no mirror runs at ${this.#url.host}: --config or --admin says where it is`);
  }
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
