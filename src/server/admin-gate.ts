import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { Settings } from '../config/settings.ts';
import { describeError, type Log } from '../metrics/log.ts';
import { RegistryError } from '../oci/errors.ts';
import { reply } from './reply.ts';

/**
 * Who may do what at the admin address. A browser that visits some other site must not be made to ask here under a name
 * of that site, so the host has to be an address, `localhost`, or one of the configured names. What changes something
 * (any method but GET and HEAD) needs the token where one is set, and comes from loopback, through no proxy, where none
 * is; a page that sends it must be one of this host.
 */
export class AdminGate {
  readonly #token: Settings['adminToken'];
  readonly #names: ReadonlySet<string>;
  readonly #loopback = new BlockList();
  readonly #log: Log;

  constructor({ admin, adminToken, adminHosts }: Pick<Settings, 'admin' | 'adminToken' | 'adminHosts'>, log: Log) {
    this.#token = adminToken;
    this.#names = new Set(['localhost', admin.host, ...adminHosts].map((name) => name.toLowerCase()));
    this.#loopback.addSubnet('127.0.0.0', 8);
    this.#loopback.addAddress('::1', 'ipv6');
    this.#log = log;
  }

  /** Whether the request may go on; where not, it is answered. */
  async admits(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    try {
      await this.#check(request);
      return true;
    } catch (error) {
      refuse(request, response, error instanceof RegistryError ? error : new RegistryError('UNKNOWN'));
      return false;
    }
  }

  async #check(request: IncomingMessage): Promise<void> {
    const { host = '', origin } = request.headers;
    if (!this.#knows(host))
      throw denied(`${JSON.stringify(host)} is no name of this mirror: adminHosts says which are`);
    if (request.method === 'GET' || request.method === 'HEAD') return;
    if (origin !== undefined && hostOf(origin) !== host.toLowerCase()) throw denied('a page of another site asks');
    if (this.#token !== undefined) return this.#checkToken(this.#token.file, request);
    if (!this.#isLocal(request)) throw denied("without an adminToken, changes come from the mirror's own machine only");
  }

  #isLocal({ socket: { remoteAddress = '' }, headers }: IncomingMessage): boolean {
    if (headers['x-forwarded-for'] !== undefined || isIP(remoteAddress) === 0) return false;
    return this.#loopback.check(remoteAddress, isIP(remoteAddress) === 6 ? 'ipv6' : 'ipv4');
  }

  #knows(host: string): boolean {
    const [, bracketed, name = ''] = /^(?:\[([^\]]+)\]|([^:]+))(?::\d+)?$/.exec(host) ?? [];
    return isIP(bracketed ?? name) !== 0 || this.#names.has(name.toLowerCase());
  }

  async #checkToken(file: string, { headers }: IncomingMessage): Promise<void> {
    const [, given = ''] = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '') ?? [];
    const token = await this.#readToken(file);
    if (token === '' || !timingSafeEqual(fingerprint(given), fingerprint(token))) {
      throw new RegistryError('UNAUTHORIZED', { message: 'changes need the admin token' });
    }
  }

  /** Read at each use, since tokens are replaced. */
  async #readToken(file: string): Promise<string> {
    try {
      return (await readFile(file, 'utf8')).trim();
    } catch (error) {
      this.#log.error({ file, error: describeError(error) }, 'the admin token cannot be read');
      throw new RegistryError('UNAVAILABLE', { message: 'the admin token cannot be read', cause: error });
    }
  }
}

function denied(message: string): RegistryError {
  return new RegistryError('DENIED', { message });
}

/** As a Host header would say it, without the port that its scheme implies; `undefined` where it is none. */
function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

/** Of equal length, whatever the text. */
function fingerprint(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function refuse(request: IncomingMessage, response: ServerResponse, error: RegistryError): void {
  const challenge = error.status === 401 ? { 'www-authenticate': 'Bearer realm="weir admin"' } : {};
  const headers = { 'content-type': 'application/json', ...challenge };
  reply(request, response, error.status, headers, Buffer.from(JSON.stringify(error)));
}
