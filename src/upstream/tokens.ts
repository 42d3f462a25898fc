import { LRUCache } from 'lru-cache';
import { getDomain } from 'tldts';
import { abortable } from '../async/abortable.ts';
import type { Clock } from '../async/clock.ts';
import { SingleFlight } from '../async/singleflight.ts';
import { basic, type Credentials } from './credentials.ts';
import { UpstreamError, type UpstreamFailure } from './errors.ts';
import type { UpstreamResponse } from './response.ts';
import type { Transport } from './transport.ts';

/** What a Bearer challenge asks for. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scope: string;
  /** The host that challenged: decides whether our credentials may go to the realm. */
  readonly challenger: URL;
  /** Whether the challenger is one of our own endpoints. */
  readonly trusted: boolean;
}

interface Token {
  readonly value: string;
  /** Monotonic milliseconds after which it is not used any more. */
  readonly until: number;
}

const maxBody = 1024 * 1024;
const shortestLife = 60;
const usableShare = 0.8;
/** Milliseconds for the token service to answer. */
const patience = 4000;

/**
 * Tokens from an authorization service: distribution's token specification. One request at a time for each scope; a
 * token is used for 80 % of its life.
 */
export class Tokens {
  readonly #upstream: string;
  readonly #transport: Transport;
  readonly #credentials: Credentials;
  readonly #clock: Clock;
  readonly #tokens = new LRUCache<string, Token>({ max: 10_000 });
  readonly #fetches = new SingleFlight<string>();

  constructor(upstream: string, transport: Transport, credentials: Credentials, clock: Clock) {
    this.#upstream = upstream;
    this.#transport = transport;
    this.#credentials = credentials;
    this.#clock = clock;
  }

  /**
   * A token for this scope; a new one when `refused` is the one that is held.
   * @throws UpstreamError: `denied` when the service gives none to anonymous clients, `login` when it refuses our login.
   */
  get(request: TokenRequest, refused: string | undefined, signal: AbortSignal): Promise<string> {
    // A token that our login bought is never given to a host that may not have it.
    const buyer = mayKnowLogin(request) ? 'login' : 'anonymous';
    const key = `${buyer} ${request.realm.href} ${request.service ?? ''} ${request.scope}`;
    const held = this.#tokens.get(key);
    if (held !== undefined && held.until > this.#clock.now() && held.value !== refused)
      return Promise.resolve(held.value);
    const fetching = this.#fetches.run(key, async () => {
      const token = await this.#fetch(request);
      this.#tokens.set(key, token);
      return token.value;
    });
    return abortable(fetching, signal);
  }

  /** Not bound to any caller: all who wait share it. */
  async #fetch(request: TokenRequest): Promise<Token> {
    const login = mayKnowLogin(request) ? await this.#credentials.login() : undefined;
    const url = new URL(request.realm);
    if (request.service !== undefined) url.searchParams.set('service', request.service);
    url.searchParams.append('scope', request.scope);
    if (login !== undefined) url.searchParams.set('account', login.username);
    const headers = { accept: 'application/json', ...(login && { authorization: basic(login) }) };
    const { signal } = new AbortController();
    const response = await this.#transport.send({ method: 'GET', url, headers, patience, signal });
    if (response.status === 200) return this.#read(response, url);
    await response.dump();
    throw this.#refusal(response, url, login !== undefined);
  }

  async #read(response: UpstreamResponse, url: URL): Promise<Token> {
    const { token, expiresIn } = parseToken(await response.readAll(maxBody));
    if (token === undefined) throw this.#error('invalid', url, 'the token service sent no token');
    const life = Math.max(shortestLife, expiresIn) * 1000;
    return { value: token, until: this.#clock.now() + life * usableShare };
  }

  #refusal({ status }: UpstreamResponse, url: URL, loggedIn: boolean): UpstreamError {
    if (status === 401 || status === 403) {
      return this.#error(loggedIn ? 'login' : 'denied', url, `the token service answered ${status}`, status);
    }
    return this.#error(status === 429 ? 'limited' : 'status', url, `the token service answered ${status}`, status);
  }

  #error(kind: UpstreamFailure, url: URL, message: string, status?: number): UpstreamError {
    return new UpstreamError(this.#upstream, kind, message, { endpoint: url.origin, status });
  }
}

/**
 * Whether our login may be sent to this realm: only for a challenge of our own endpoint, and only to its own host or
 * another of the same registrable domain (`auth.docker.io` for `registry-1.docker.io`). Never over plain http that the
 * challenger does not use itself.
 */
export function mayKnowLogin({ realm, challenger, trusted }: TokenRequest): boolean {
  if (!trusted || (realm.protocol !== 'https:' && challenger.protocol === 'https:')) return false;
  if (realm.hostname === challenger.hostname) return true;
  const domain = getDomain(challenger.hostname, { allowPrivateDomains: true });
  return domain !== null && getDomain(realm.hostname, { allowPrivateDomains: true }) === domain;
}

/**
 * Reads a token service's answer: `token`, else `access_token`, and its life in seconds, 0 where it does not say. A token
 * that could not be a header is none. Never throws.
 */
export function parseToken(bytes: Buffer): { token: string | undefined; expiresIn: number } {
  const none = { token: undefined, expiresIn: 0 };
  try {
    const json: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof json !== 'object' || json === null) return none;
    const { token, access_token, expires_in } = { token: null, access_token: null, expires_in: 0, ...json };
    const value = [token, access_token].find((each) => typeof each === 'string' && /^[\x21-\x7e]+$/.test(each));
    return { token: value ?? undefined, expiresIn: typeof expires_in === 'number' ? expires_in : 0 };
  } catch {
    return none;
  }
}
