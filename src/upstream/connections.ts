import { getCACertificates } from 'node:tls';
import { Agent, type Dispatcher, Pool, ProxyAgent } from 'undici';
import type { UpstreamSettings } from '../config/settings.ts';
import { parseNoProxy } from '../http/no-proxy.ts';
import { AddressGuard, ForbiddenAddressError } from './addresses.ts';
import { basic } from './login.ts';
import { ReadBuffers } from './read-buffers.ts';

/** How a host is reached. */
export interface Line {
  readonly dispatcher: Dispatcher;
  /** What its connections read into. */
  readonly buffers: ReadBuffers;
  /** Host and port of the proxy, where there is one. */
  readonly proxy: string | undefined;
}

const connectTimeout = 3000;
/** As many as may carry blobs, or have stalled with one. */
const blobConnections = 2;
/** Connections beyond those, so that a manifest or a token never waits for a layer. */
const spareConnections = 8;
const maxForeignHosts = 64;
const maxHeaderSize = 32 * 1024;
/** Redirects are not followed here, nothing is decompressed; HTTP/2 is off: one stalled connection must not stall the others. */
const limits = { headersTimeout: 0, bodyTimeout: 0, allowH2: false, pipelining: 1, maxHeaderSize };

/**
 * The connections of one upstream: a pool for each configured endpoint, and bounded ones for the hosts that these name in
 * redirects and token realms. Foreign hosts may not have private addresses, unless `privateNetwork` says so: that is
 * checked when their names are resolved. A proxy resolves names itself, out of our sight; there, only addresses that are
 * written as such, and `localhost`, are refused, and what else the proxy can reach is up to the proxy.
 */
export class Connections {
  readonly #settings: UpstreamSettings;
  readonly #connections: number;
  readonly #tls: ReturnType<typeof tlsOptions>;
  readonly #guard = new AddressGuard();
  readonly #plainBuffers = new ReadBuffers(false);
  readonly #tlsBuffers = new ReadBuffers(true);
  readonly #bypasses: (url: URL) => boolean;
  readonly #endpoints: ReadonlyMap<string, Line>;
  /** By the URL of their proxy. */
  readonly #foreign = new Map<string | undefined, Line>();

  /** `authorities`: the PEM text of further ones. */
  constructor(settings: UpstreamSettings, authorities: string | undefined) {
    this.#settings = settings;
    this.#connections = blobConnections * settings.connections + spareConnections;
    this.#tls = tlsOptions(settings, authorities);
    this.#bypasses = parseNoProxy(settings.proxy.except);
    this.#endpoints = new Map(settings.endpoints.map((origin) => [origin, this.#lineToEndpoint(origin)]));
  }

  /** @throws ForbiddenAddressError for a foreign host that may not be reached; others fail when they are connected to. */
  lineTo(url: URL): Line {
    const endpoint = this.#endpoints.get(url.origin);
    if (endpoint !== undefined) return endpoint;
    const proxy = this.#proxyFor(url);
    this.#checkForeign(url, proxy);
    const known = this.#foreign.get(proxy);
    if (known !== undefined) return known;
    const line = proxy === undefined ? this.#foreignLine() : this.#lineThrough(proxy);
    this.#foreign.set(proxy, line);
    return line;
  }

  /** Takes no more requests; resolves when the last one is over. */
  async drain(): Promise<void> {
    await Promise.all(this.#dispatchers.map((dispatcher) => dispatcher.close()));
  }

  /** Ends all requests. */
  async close(): Promise<void> {
    await Promise.all(this.#dispatchers.map((dispatcher) => dispatcher.destroy()));
  }

  get #dispatchers(): readonly Dispatcher[] {
    return [...this.#endpoints.values(), ...this.#foreign.values()].map(({ dispatcher }) => dispatcher);
  }

  #lineToEndpoint(origin: string): Line {
    const proxy = this.#proxyFor(new URL(origin));
    if (proxy !== undefined) return this.#lineThrough(proxy);
    const buffers = origin.startsWith('https:') ? this.#tlsBuffers : this.#plainBuffers;
    const connect = { ...this.#tls, onread: buffers.onread, timeout: connectTimeout };
    const dispatcher = new Pool(origin, { ...limits, connections: this.#connections, connect });
    return { dispatcher, buffers, proxy: undefined };
  }

  /** Foreign hosts are read like TLS, whatever they speak. */
  #foreignLine(): Line {
    const buffers = this.#tlsBuffers;
    const lookup = this.#settings.privateNetwork ? {} : { lookup: this.#guard.lookup };
    const connect = { ...this.#tls, ...lookup, onread: buffers.onread, timeout: connectTimeout };
    const options = { ...limits, connections: this.#connections, maxOrigins: maxForeignHosts, connect };
    return { dispatcher: new Agent(options), buffers, proxy: undefined };
  }

  /** Plain http is forwarded by the proxy, https tunnelled through it. Its own certificate is always checked. */
  #lineThrough(proxy: string): Line {
    const { origin, host, username, password } = new URL(proxy);
    const account = { username: decodeURIComponent(username), password: decodeURIComponent(password) };
    const { ca } = this.#tls;
    const dispatcher = new ProxyAgent({
      ...limits,
      uri: origin,
      ...(username === '' ? {} : { token: basic(account) }),
      connections: this.#connections,
      maxOrigins: maxForeignHosts,
      connectTimeout,
      requestTls: this.#tls,
      proxyTls: ca === undefined ? {} : { ca },
      clientFactory: (url, options) => new Pool(url, { ...options, headersTimeout: connectTimeout }),
      factory: (url, options) => new Pool(url, { ...limits, connections: this.#connections, ...options }),
    });
    return { dispatcher, buffers: this.#tlsBuffers, proxy: host };
  }

  #proxyFor(url: URL): string | undefined {
    const { http, https } = this.#settings.proxy;
    const proxy = url.protocol === 'https:' ? https : http;
    return proxy === undefined || this.#bypasses(url) ? undefined : proxy;
  }

  /** Hosts that an upstream named: no plain http and no private address, unless the configuration says so. */
  #checkForeign(url: URL, proxy: string | undefined): void {
    const { insecure, privateNetwork } = this.#settings;
    const refuse = (why: string) => new ForbiddenAddressError(`it named ${url.host}, ${why}`);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && insecure)) throw refuse('but not over https');
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const isOwn = proxy !== undefined && /^(?:.*\.)?localhost\.?$/.test(host);
    if (!privateNetwork && (isOwn || this.#guard.isPrivate(host))) throw refuse('a private address');
  }
}

function tlsOptions(
  { insecure }: UpstreamSettings,
  authorities: string | undefined,
): { ca?: string[]; rejectUnauthorized?: boolean } {
  if (authorities !== undefined) return { ca: [...getCACertificates('default'), authorities] };
  return insecure ? { rejectUnauthorized: false } : {};
}
