import { LRUCache } from 'lru-cache';
import { type Challenge, parseChallenges } from '../http/challenge.ts';
import type { Credentials } from './credentials.ts';
import { UpstreamError } from './errors.ts';
import { type Authorization, type AuthTarget, accountOf, basic } from './login.ts';
import type { TokenRequest } from './token-service.ts';
import type { Tokens } from './tokens.ts';
import { leadsDown } from './trust.ts';

/** How a registry asks for a login. */
export interface Demand {
  /** The lines of `WWW-Authenticate`. */
  readonly lines: readonly string[];
  /** Whether they were said of this repository. What `/v2/` says has a placeholder for a scope. */
  readonly exact: boolean;
}

/** Characters of challenges that are kept. */
const maxSize = 16 * 1024 * 1024;

/**
 * Logs in at the registries of one upstream, as they challenge:
 * 1. a request goes out as the last challenge of this host and repository taught, or plain;
 * 2. on 401, `answer` reads the challenges: Bearer before Basic;
 * 3. the request is sent once more; a second 401 is the registry's last word.
 */
export class Authenticator {
  readonly #upstream: string;
  readonly #credentials: Credentials;
  readonly #tokens: Tokens;
  readonly #learned = new LRUCache<string, Challenge>({
    maxSize,
    sizeCalculation: ({ params }, key) => key.length + [...params].join().length,
  });

  constructor(upstream: string, credentials: Credentials, tokens: Tokens) {
    this.#upstream = upstream;
    this.#credentials = credentials;
    this.#tokens = tokens;
  }

  /** The `Authorization` for a first request; `undefined` where none is known to be wanted. @throws UpstreamError */
  async prepare(target: AuthTarget, signal: AbortSignal): Promise<Authorization | undefined> {
    const challenge = this.#learned.get(keyOf(target));
    return challenge && this.#follow(target, challenge, undefined, signal);
  }

  /**
   * Answers a 401. `sent` is the `Authorization` that was refused.
   * @returns the `Authorization` for one more request.
   * @throws UpstreamError `denied` or `login` when there is nothing more to offer.
   */
  async answer(
    target: AuthTarget,
    { lines, exact }: Demand,
    sent: Authorization | undefined,
    signal: AbortSignal,
  ): Promise<Authorization> {
    const refusal = this.refusal(target, sent);
    const challenges = lines.flatMap(parseChallenges);
    const found = pick(challenges, 'bearer') ?? pick(challenges, 'basic');
    if (found === undefined) throw sent ? refusal : this.#denied(target, 'it asks for a login, but not how');
    const challenge = exact ? found : withoutScope(found);
    const authorization = await this.#follow(target, challenge, sent, signal);
    if (authorization === undefined || authorization.header === sent?.header) throw refusal;
    return authorization;
  }

  /** What it means that this `Authorization` was refused. */
  refusal(target: AuthTarget, sent: Authorization | undefined): UpstreamError {
    if (sent?.failedLogin !== undefined) return sent.failedLogin;
    if (sent?.login === undefined) return this.#denied(target, 'access was refused');
    this.#credentials.refused(target, sent.login);
    return this.#credentials.refusal(target);
  }

  /** Responds to a challenge, which is remembered as long as that succeeds: the registry may change its mind. */
  async #follow(
    target: AuthTarget,
    challenge: Challenge,
    refused: Authorization | undefined,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    try {
      const authorization = await this.#respond(target, challenge, refused, signal);
      this.#learned.set(keyOf(target), challenge);
      return authorization;
    } catch (error) {
      if (!signal.aborted) this.#learned.delete(keyOf(target));
      throw error;
    }
  }

  async #respond(
    target: AuthTarget,
    challenge: Challenge,
    refused: Authorization | undefined,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    if (challenge.scheme === 'bearer') {
      return this.#tokens.get(this.#tokenRequest(target, challenge), refused, signal);
    }
    const login = await this.#credentials.login(target);
    return login?.account && { header: basic(login.account), account: accountOf(login), login, failedLogin: undefined };
  }

  #tokenRequest(target: AuthTarget, { params }: Challenge): TokenRequest {
    const { url, repository } = target;
    const failure = (kind: 'invalid' | 'forbidden', message: string) =>
      new UpstreamError(this.#upstream, kind, message, { endpoint: url.origin });
    const text = params.get('realm') ?? '';
    if (!URL.canParse(text)) throw failure('invalid', 'its token service has no URL');
    const realm = new URL(text);
    if (leadsDown(url, realm)) throw failure('forbidden', 'its token service is not on https');
    const scopes = scopesOf(params.get('scope') ?? '');
    return {
      realm,
      service: params.get('service') || undefined,
      scopes: scopes.length > 0 ? scopes : [`repository:${repository}:pull`],
      target,
    };
  }

  #denied({ url }: AuthTarget, message: string): UpstreamError {
    return new UpstreamError(this.#upstream, 'denied', `${url.host}: ${message}`, {
      endpoint: url.origin,
      status: 401,
    });
  }
}

function keyOf({ url, repository }: AuthTarget): string {
  return `${url.origin} ${repository}`;
}

function pick(challenges: readonly Challenge[], scheme: string): Challenge | undefined {
  return challenges.find(
    (challenge) => challenge.scheme === scheme && (scheme !== 'bearer' || challenge.params.has('realm')),
  );
}

function withoutScope({ scheme, params }: Challenge): Challenge {
  return { scheme, params: new Map([...params].filter(([name]) => name !== 'scope')) };
}

/**
 * The challenge of the real request knows best (public ECR wants `aws`), but for what it lets us do: some registries
 * refuse anonymous clients that want to push.
 */
function scopesOf(text: string): string[] {
  const scopes = text.split(' ').filter((scope) => scope !== '');
  return scopes.map((scope) => scope.replace(/^(repository(?:\([^)]*\))?:.+):[^:]*$/, '$1:pull'));
}
