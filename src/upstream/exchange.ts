import type { Clock } from '../async/clock.ts';
import type { UpstreamSettings } from '../config/settings.ts';
import { programVersion } from '../config/version.ts';
import { parseRetryAfter } from '../http/retry-after.ts';
import type { Authenticator, AuthTarget } from './auth.ts';
import { UpstreamError } from './errors.ts';
import type { UpstreamResponse } from './response.ts';
import type { Transport } from './transport.ts';

/** One question to a registry. */
export interface Question {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD';
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
const userAgent = `weir/${programVersion()}`;

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
    const response = await this.#login(question);
    if (response.status >= 200 && response.status < 300) return { response, location: undefined };
    await response.dump();
    const location = redirects.has(response.status) ? this.#locationOf(response, question.url) : undefined;
    if (location === undefined) throw this.#failureOf(response, question.url);
    return { response, location };
  }

  async #login(question: Question): Promise<UpstreamResponse> {
    const { url, repository, signal } = question;
    const target: AuthTarget = { url, repository, trusted: this.#settings.endpoints.includes(url.origin) };
    const first = await this.#auth.prepare(target, signal);
    const response = await this.#send(question, first);
    if (response.status !== 401) return response;
    await response.dump();
    const lines = response.headerLines('www-authenticate');
    const second = await this.#auth.answer(
      target,
      lines.length > 0 ? lines : await this.#ping(question),
      first,
      signal,
    );
    const again = await this.#send(question, second);
    if (again.status !== 401) return again;
    await again.dump();
    throw this.#auth.refusal(target, second);
  }

  async #send(question: Question, authorization: string | undefined): Promise<UpstreamResponse> {
    const headers = {
      'user-agent': userAgent,
      'accept-encoding': 'identity',
      ...question.headers,
      ...(authorization === undefined ? {} : { authorization }),
    };
    try {
      return await this.#transport.send({ ...question, headers });
    } catch (error) {
      // A kept connection that the other side closed just now says nothing: the same again, on a new one.
      if (error instanceof UpstreamError && error.kind === 'reset')
        return this.#transport.send({ ...question, headers });
      throw error;
    }
  }

  /** Some registries answer 401 without a challenge: then the one of `/v2/` counts. */
  async #ping(question: Question): Promise<readonly string[]> {
    const response = await this.#send({ ...question, method: 'GET', url: new URL('/v2/', question.url) }, undefined);
    await response.dump();
    return response.headerLines('www-authenticate');
  }

  #locationOf(response: UpstreamResponse, base: URL): URL | undefined {
    const location = response.header('location');
    return location !== undefined && URL.canParse(location, base.href) ? new URL(location, base.href) : undefined;
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

function kindOf(status: number): 'denied' | 'absent' | 'limited' | 'status' {
  if (status === 401 || status === 403) return 'denied';
  if (status === 404 || status === 410) return 'absent';
  return status === 429 ? 'limited' : 'status';
}
