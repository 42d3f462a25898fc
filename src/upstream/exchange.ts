import type { Clock } from '../async/clock.ts';
import type { UpstreamSettings } from '../config/settings.ts';
import { parseRetryAfter } from '../http/retry-after.ts';
import type { Authenticator } from './auth.ts';
import type { RequestKind } from './circuits.ts';
import { UpstreamError } from './errors.ts';
import type { Authorization, AuthTarget } from './login.ts';
import type { UpstreamResponse } from './response.ts';
import type { Transport } from './transport.ts';
import { leadsDown } from './trust.ts';

/** One question to a registry. */
export interface Question {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD';
  readonly kind: RequestKind;
  /** The endpoint that is asked, wherever that leads. */
  readonly endpoint: string;
  /** The repository's name at the endpoint, for the token's scope. */
  readonly repository: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds of silence after which each request that this takes has failed. */
  readonly patience: number;
  readonly signal: AbortSignal;
}

/** The answer, and who gave it in the end. */
export interface Answer {
  readonly url: URL;
  readonly response: UpstreamResponse;
}

const maxRedirects = 8;
const redirects = new Set([301, 302, 303, 307, 308]);

/** Asks one registry: logs in when it wants that, and follows redirects by hand. */
export class Exchange {
  readonly #settings: UpstreamSettings;
  readonly #transport: Transport;
  readonly #auth: Authenticator;
  readonly #clock: Clock;

  constructor(settings: UpstreamSettings, transport: Transport, auth: Authenticator, clock: Clock) {
    this.#settings = settings;
    this.#transport = transport;
    this.#auth = auth;
    this.#clock = clock;
  }

  /**
   * Asks, and follows redirects. Their targets get a GET even after a HEAD, since URLs are signed for one method; and
   * no login of another host, since authorization is decided anew for each.
   * @throws UpstreamError for everything that is no 2xx.
   */
  async ask(question: Question): Promise<Answer> {
    let next = question;
    for (let hop = 0; hop <= maxRedirects; hop++) {
      const { response, location } = await this.once(next);
      if (location === undefined) return { url: next.url, response };
      next = { ...next, method: 'GET', url: location };
    }
    throw new UpstreamError(this.#settings.name, 'invalid', 'too many redirects', { endpoint: question.url.origin });
  }

  /**
   * Asks without following: `location` is where a redirect points to, its response already read.
   * @throws UpstreamError for everything that is neither 2xx nor a redirect.
   */
  async once(question: Question): Promise<{ response: UpstreamResponse; location: URL | undefined }> {
    const { response, authorization } = await this.#login(question);
    if (response.status >= 200 && response.status < 300) return { response, location: undefined };
    await response.dump();
    const location = redirects.has(response.status) ? this.#locationOf(response, question.url) : undefined;
    if (location !== undefined) return { response, location };
    const failure = this.#failureOf(response, question.url);
    throw (failure.definite && authorization?.failedLogin) || failure;
  }

  /** Sends it with what the registry wants to see, which it may have to say first. */
  async #login(question: Question): Promise<{ response: UpstreamResponse; authorization: Authorization | undefined }> {
    const { url, endpoint, repository, signal } = question;
    const target: AuthTarget = { url, endpoint, repository, trusted: this.#settings.endpoints.includes(url.origin) };
    const first = await this.#auth.prepare(target, signal);
    const response = await this.#send(question, first);
    if (response.status !== 401) return { response, authorization: first };
    await response.dump();
    const lines = response.headerLines('www-authenticate');
    const exact = lines.length > 0;
    const demand = { lines: exact ? lines : await this.#ping(question), exact };
    const authorization = await this.#auth.answer(target, demand, first, signal);
    const again = await this.#send(question, authorization);
    if (again.status !== 401) return { response: again, authorization };
    await again.dump();
    throw this.#auth.refusal(target, authorization);
  }

  #send(question: Question, authorization: Authorization | undefined): Promise<UpstreamResponse> {
    const headers = { ...question.headers, ...(authorization && { authorization: authorization.header }) };
    return this.#transport.send({ ...question, account: authorization?.account, headers });
  }

  /** Some registries answer 401 without a challenge: then the one of `/v2/` counts. */
  async #ping(question: Question): Promise<readonly string[]> {
    const response = await this.#send(
      { ...question, method: 'GET', kind: 'ping', url: new URL('/v2/', question.url) },
      undefined,
    );
    await response.dump();
    return response.headerLines('www-authenticate');
  }

  #locationOf(response: UpstreamResponse, base: URL): URL | undefined {
    const text = response.header('location');
    if (text === undefined || !URL.canParse(text, base.href)) return undefined;
    const location = new URL(text, base.href);
    if (!leadsDown(base, location)) return location;
    const { name } = this.#settings;
    throw new UpstreamError(name, 'forbidden', `${base.host} leads away from https`, { endpoint: base.origin });
  }

  #failureOf(response: UpstreamResponse, { origin, host }: URL): UpstreamError {
    const { status } = response;
    const retryAfterMs = parseRetryAfter(response.header('retry-after'), this.#clock.wall());
    return new UpstreamError(this.#settings.name, kindOf(status), `${host} answered ${status}`, {
      endpoint: origin,
      status,
      retryAfterMs,
    });
  }
}

function kindOf(status: number): 'denied' | 'absent' | 'status' {
  if (status === 401 || status === 403) return 'denied';
  return status === 404 || status === 410 ? 'absent' : 'status';
}
