import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import { type Challenge, parseChallenges } from '../http/challenge.ts';
import { basic, type Credentials } from './credentials.ts';
import { UpstreamError } from './errors.ts';
import { type TokenRequest, Tokens } from './tokens.ts';
import type { Transport } from './transport.ts';

/** A repository at a host, as far as logging in is concerned. */
export interface AuthTarget {
  readonly url: URL;
  /** The repository's name at the endpoint. */
  readonly repository: string;
  /** Whether the host is one of our own endpoints. Hosts that they redirect to are asked anonymously. */
  readonly trusted: boolean;
}

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
  readonly #learned = new LRUCache<string, Challenge>({ max: 10_000 });

  constructor(upstream: string, transport: Transport, credentials: Credentials, clock: Clock) {
    this.#upstream = upstream;
    this.#credentials = credentials;
    this.#tokens = new Tokens(upstream, transport, credentials, clock);
  }

  /** The `Authorization` for a first request; `undefined` where none is known to be wanted. @throws UpstreamError */
  async prepare(target: AuthTarget, signal: AbortSignal): Promise<string | undefined> {
    const challenge = this.#learned.get(keyOf(target));
    return challenge && this.#respond(target, challenge, undefined, signal);
  }

  /**
   * Answers a 401. `sent` is the `Authorization` that was refused, `lines` are its `WWW-Authenticate` lines.
   * @returns the `Authorization` for one more request.
   * @throws UpstreamError `denied` or `login` when there is nothing more to offer.
   */
  async answer(
    target: AuthTarget,
    lines: readonly string[],
    sent: string | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const challenges = lines.flatMap(parseChallenges);
    const challenge = pick(challenges, 'bearer') ?? pick(challenges, 'basic');
    if (challenge === undefined) throw this.#refused(target, 'it asks for a login, but not how');
    this.#learned.set(keyOf(target), challenge);
    const authorization = await this.#respond(target, challenge, sent, signal);
    if (authorization === undefined || authorization === sent) throw this.refusal(target, sent);
    return authorization;
  }

  /** What it means that this `Authorization` was refused. */
  refusal(target: AuthTarget, sent: string | undefined): UpstreamError {
    if (sent?.startsWith('Basic ')) {
      return new UpstreamError(this.#upstream, 'login', 'our login was refused', {
        endpoint: target.url.origin,
        status: 401,
      });
    }
    return this.#refused(target, 'access was refused');
  }

  async #respond(
    target: AuthTarget,
    challenge: Challenge,
    sent: string | undefined,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (challenge.scheme === 'bearer') {
      const refused = sent?.startsWith('Bearer ') ? sent.slice('Bearer '.length) : undefined;
      return `Bearer ${await this.#tokens.get(this.#tokenRequest(target, challenge), refused, signal)}`;
    }
    const login = target.trusted ? await this.#credentials.login() : undefined;
    return login && basic(login);
  }

  #tokenRequest({ url, repository, trusted }: AuthTarget, { params }: Challenge): TokenRequest {
    const realm = params.get('realm') ?? '';
    if (!URL.canParse(realm)) {
      throw new UpstreamError(this.#upstream, 'invalid', 'its token service has no URL', { endpoint: url.origin });
    }
    // The challenge of the real request knows best (public ECR wants `aws`); an empty one is as good as none.
    const scope = params.get('scope') || `repository:${repository}:pull`;
    return { realm: new URL(realm), service: params.get('service') || undefined, scope, challenger: url, trusted };
  }

  #refused({ url }: AuthTarget, message: string): UpstreamError {
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
