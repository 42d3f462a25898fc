import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { getCACertificates } from 'node:tls';
import { Agent, Pool } from 'undici';
import type { Clock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import type { UpstreamSettings } from '../config/settings.ts';
import { AddressGuard, PrivateAddressError } from './addresses.ts';
import { UpstreamError, type UpstreamFailure } from './errors.ts';
import { ReadBuffers } from './read-buffers.ts';
import { UpstreamResponse } from './response.ts';

/** What is sent: nothing but what the mirror itself says. */
export interface OutgoingRequest {
  readonly method: 'GET' | 'HEAD';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds of silence, before the headers and within the body, after which it has failed. */
  readonly patience: number;
  readonly signal: AbortSignal;
}

const connectTimeout = 3000;
/** Connections beyond those that carry blobs, so that a manifest or a token never waits for a layer. */
const spareConnections = 8;
const maxRedirectOrigins = 64;
const maxHeaderSize = 32 * 1024;

/**
 * Connections to one upstream: a pool per configured endpoint, and one bounded agent for the hosts that these name in
 * redirects and token realms. Redirects are not followed here, nothing is decompressed, HTTP/2 is off: one stalled
 * connection must not stall the others.
 */
export class Transport {
  readonly #settings: UpstreamSettings;
  readonly #clock: Clock;
  readonly #guard = new AddressGuard();
  readonly #plainBuffers = new ReadBuffers(false);
  readonly #tlsBuffers = new ReadBuffers(true);
  readonly #pools: ReadonlyMap<string, Pool>;
  readonly #others: Agent;

  constructor(settings: UpstreamSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    const tls = tlsOptions(settings);
    const options = { headersTimeout: 0, bodyTimeout: 0, allowH2: false, pipelining: 1, maxHeaderSize };
    const connections = settings.connections + spareConnections;
    this.#pools = new Map(
      settings.endpoints.map((origin) => [
        origin,
        new Pool(origin, {
          ...options,
          connections,
          connect: { ...tls, onread: this.#buffersFor(origin).onread, timeout: connectTimeout },
        }),
      ]),
    );
    const lookup = settings.privateNetwork ? {} : { lookup: this.#guard.lookup };
    this.#others = new Agent({
      ...options,
      connections,
      maxOrigins: maxRedirectOrigins,
      connect: { ...tls, ...lookup, onread: this.#tlsBuffers.onread, timeout: connectTimeout },
    });
  }

  /** @throws UpstreamError when there is no answer; the signal's reason when that aborts. */
  async send({ method, url, headers, patience, signal }: OutgoingRequest): Promise<UpstreamResponse> {
    const pool = this.#pools.get(url.origin);
    if (pool === undefined) this.#checkForeign(url);
    const silent = () => this.#error('timeout', url, `${url.host} is silent`);
    const deadline = new Deadline(this.#clock, silent, signal);
    const failure = (cause: unknown) =>
      deadline.signal.aborted ? deadline.signal.reason : this.#failureOf(cause, url);
    const options = { origin: url.origin, path: url.pathname + url.search, method, headers: { ...headers } };
    try {
      deadline.set(patience);
      const received = await (pool ?? this.#others).request({ ...options, signal: deadline.signal });
      // Redirect targets are read like TLS, whatever they speak.
      const buffers = pool === undefined ? this.#tlsBuffers : this.#buffersFor(url.origin);
      return new UpstreamResponse(received, { deadline, patience, failure }, buffers);
    } catch (cause) {
      deadline.clear();
      throw failure(cause);
    } finally {
      deadline.pause();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values(), this.#others].map((each) => each.destroy()));
  }

  #buffersFor(origin: string): ReadBuffers {
    return origin.startsWith('https:') ? this.#tlsBuffers : this.#plainBuffers;
  }

  #failureOf(cause: unknown, url: URL): UpstreamError {
    if (cause instanceof UpstreamError) return cause;
    if (cause instanceof PrivateAddressError) return this.#error('forbidden', url, cause.message, cause);
    const code = codeOf(cause);
    return this.#error(kindOf(code), url, `${url.host}: ${code}`, cause);
  }

  #error(kind: UpstreamFailure, url: URL, message: string, cause?: unknown): UpstreamError {
    return new UpstreamError(this.#settings.name, kind, message, { endpoint: url.origin, cause });
  }

  /** Hosts that an upstream named: no plain http and no private address, unless the configuration says so. */
  #checkForeign(url: URL): void {
    const { insecure, privateNetwork } = this.#settings;
    const refuse = (why: string) => this.#error('forbidden', url, `it named ${url.host}, ${why}`);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && insecure)) throw refuse('but not over https');
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (!privateNetwork && isIP(host) !== 0 && this.#guard.isPrivate(host)) throw refuse('a private address');
  }
}

function tlsOptions({ ca, insecure }: UpstreamSettings): { ca?: string[]; rejectUnauthorized?: boolean } {
  if (ca !== undefined) return { ca: [...getCACertificates('default'), readFileSync(ca, 'utf8')] };
  return insecure ? { rejectUnauthorized: false } : {};
}

function kindOf(code: string): UpstreamFailure {
  if (/TIMEOUT|TIMEDOUT/.test(code)) return 'timeout';
  if (/^(?:ECONNRESET|EPIPE|UND_ERR_SOCKET|UND_ERR_CLOSED|UND_ERR_DESTROYED)$/.test(code)) return 'reset';
  if (/^(?:UND_ERR_|HPE_|HTTPParserError)/.test(code)) return 'invalid';
  return 'unreachable';
}

/** Parser errors of undici have a name, but not always a code. */
function codeOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'failed';
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
}
