import type { Clock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import { UpstreamError, type UpstreamFailure } from './errors.ts';
import { type Account, type AuthTarget, basic, type Login } from './login.ts';
import type { UpstreamResponse } from './response.ts';
import type { OutgoingRequest, Transport } from './transport.ts';

/** What a Bearer challenge asks for. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  /** Who wants to see the token. */
  readonly target: AuthTarget;
}

/** A token as it was bought. */
export interface BoughtToken {
  readonly value: string;
  /** Milliseconds for which it is good, as far as the service says. */
  readonly life: number;
}

const maxBody = 1024 * 1024;
const shortestLife = 60;
/** Milliseconds of silence, and altogether: a client waits meanwhile. */
const patience = 4000;
const longest = 6000;
/** What a token may be: of longer ones, servers complain before they look at the request. */
const fitsHeader = /^[\x21-\x7e]{1,16384}$/;
/** What services answer that know no POST, or not this identity token. */
const postRefusals = new Set([400, 401, 403, 404, 405]);

/** Buys tokens from authorization services: distribution's token specification, by GET, and its OAuth 2.0 form by POST. */
export class TokenService {
  readonly #upstream: string;
  readonly #transport: Transport;
  readonly #clock: Clock;

  constructor(upstream: string, transport: Transport, clock: Clock) {
    this.#upstream = upstream;
    this.#transport = transport;
    this.#clock = clock;
  }

  /**
   * Buys a token anonymously.
   * @throws UpstreamError: `denied` when the service gives none to the anonymous.
   */
  async anonymously(request: TokenRequest): Promise<BoughtToken> {
    const answer = await this.#get(request, undefined);
    if (typeof answer === 'object') return answer;
    throw this.#refusal(request, answer);
  }

  /**
   * Buys a token with a login: with its identity token, or where the service does not take that, with its password.
   * @returns `undefined` when the login is refused.
   * @throws UpstreamError when there is no answer to the question.
   */
  async withLogin(request: TokenRequest, { account, identityToken }: Login): Promise<BoughtToken | undefined> {
    if (identityToken !== undefined) {
      const answer = await this.#post(request, identityToken);
      if (typeof answer === 'object') return answer;
      if (!postRefusals.has(answer)) throw this.#refusal(request, answer);
    }
    if (account === undefined) return undefined;
    const answer = await this.#get(request, account);
    if (typeof answer === 'object') return answer;
    if (answer !== 401 && answer !== 403) throw this.#refusal(request, answer);
    return undefined;
  }

  #get({ realm, service, scopes, target }: TokenRequest, account: Account | undefined): Promise<BoughtToken | number> {
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set('service', service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    if (account !== undefined) url.searchParams.set('account', account.username);
    const headers = account === undefined ? {} : { authorization: basic(account) };
    return this.#ask(target, { method: 'GET', url, headers, account: account?.username });
  }

  #post({ realm, service, scopes, target }: TokenRequest, identityToken: string): Promise<BoughtToken | number> {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: identityToken,
      ...(service === undefined ? {} : { service }),
      scope: scopes.join(' '),
      client_id: 'weir',
      access_type: 'offline',
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return this.#ask(target, { method: 'POST', url: realm, headers, body: form.toString(), account: 'token' });
  }

  /** The status, where that is not 200. */
  async #ask(
    { endpoint }: AuthTarget,
    request: Omit<OutgoingRequest, 'kind' | 'endpoint' | 'patience' | 'signal'>,
  ): Promise<BoughtToken | number> {
    const { url } = request;
    const late = () => this.#error('timeout', url, 'the token service takes too long');
    const deadline = new Deadline(this.#clock, late);
    deadline.set(longest);
    try {
      const headers = { accept: 'application/json', ...request.headers };
      const { signal } = deadline;
      const response = await this.#transport.send({ ...request, kind: 'token', endpoint, headers, patience, signal });
      if (response.status === 200) return await this.#read(response, url);
      await response.dump();
      return response.status;
    } finally {
      deadline.clear();
    }
  }

  async #read(response: UpstreamResponse, url: URL): Promise<BoughtToken> {
    const { token, expiresIn } = parseToken(await response.readAll(maxBody));
    if (token === undefined) throw this.#error('invalid', url, 'the token service sent no token');
    return { value: token, life: Math.max(shortestLife, expiresIn) * 1000 };
  }

  #refusal({ realm }: TokenRequest, status: number): UpstreamError {
    const kind = status === 401 || status === 403 ? 'denied' : 'status';
    return this.#error(kind, realm, `the token service answered ${status}`, status);
  }

  #error(kind: UpstreamFailure, url: URL, message: string, status?: number): UpstreamError {
    return new UpstreamError(this.#upstream, kind, message, { endpoint: url.origin, status });
  }
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
    const value = [token, access_token].find((each) => typeof each === 'string' && fitsHeader.test(each));
    return { token: value ?? undefined, expiresIn: typeof expires_in === 'number' ? expires_in : 0 };
  } catch {
    return none;
  }
}
