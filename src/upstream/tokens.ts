import { LRUCache } from 'lru-cache';
import { abortable } from '../async/abortable.ts';
import type { Clock } from '../async/clock.ts';
import { SingleFlight } from '../async/singleflight.ts';
import type { UpstreamSettings } from '../config/settings.ts';
import { describeError, type Log } from '../metrics/log.ts';
import type { Credentials } from './credentials.ts';
import { UpstreamError } from './errors.ts';
import { type Authorization, accountOf } from './login.ts';
import type { BoughtToken, TokenRequest, TokenService } from './token-service.ts';
import { mayKnowLogin } from './trust.ts';

interface Token extends Authorization {
  /** Monotonic milliseconds after which it is not used any more. */
  readonly until: number;
}

/** Bytes of keys and tokens that are kept. */
const maxSize = 16 * 1024 * 1024;
const usableShare = 0.8;
/** Milliseconds for which a token is used that comes from nowhere but a file. */
const registryTokenLife = 60_000;
/** Milliseconds after which a login that failed is tried again. */
const pause = 5000;

/** What `Tokens` asks. */
export interface TokenSources {
  readonly settings: Pick<UpstreamSettings, 'name' | 'realms'>;
  readonly service: TokenService;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The tokens of one upstream, each for what it was bought for and by whom: one repository's login never pays for
 * another's token. One request at a time for each; a token is used for 80 % of its life. Where our login fails, an
 * anonymous token takes its place for a while, so that a bad password does not end public pulls.
 */
export class Tokens {
  readonly #sources: TokenSources;
  readonly #tokens = new LRUCache<string, Token>({
    maxSize,
    sizeCalculation: ({ header }, key) => header.length + key.length,
  });
  readonly #fetches = new SingleFlight<Token>();

  constructor(sources: TokenSources) {
    this.#sources = sources;
  }

  /**
   * A token for these scopes; a new one when `refused` is the one that is held.
   * @throws UpstreamError: `denied` when the service gives none to anonymous clients, `login` when ours gets none and an
   * anonymous one neither.
   */
  async get(request: TokenRequest, refused: Authorization | undefined, signal: AbortSignal): Promise<Authorization> {
    const key = this.#keyOf(request);
    const held = this.#tokens.get(key);
    if (held !== undefined && held.until > this.#sources.clock.now() && held.header !== refused?.header) return held;
    const fetching = this.#fetches.run(key, async () => {
      const token = await this.#fetch(request);
      this.#tokens.set(key, token);
      return token;
    });
    return abortable(fetching, signal);
  }

  /** A repository has one login, so its name stands for that. */
  #keyOf({ realm, service, scopes, target }: TokenRequest): string {
    const isOurs = target.trusted && this.#sources.credentials.configured;
    return JSON.stringify([realm.href, service, scopes, ...(isOurs ? [target.url.origin, target.repository] : [])]);
  }

  /** Not bound to any caller: all who wait share it. */
  async #fetch(request: TokenRequest): Promise<Token> {
    try {
      return (
        (await this.#fetchWithLogin(request)) ??
        this.#bought(await this.#sources.service.anonymously(request), undefined)
      );
    } catch (error) {
      if (!(error instanceof UpstreamError && error.kind === 'login')) throw error;
      return this.#inPlaceOfLogin(request, error);
    }
  }

  /** @returns `undefined` where there is no login, or none that the service may know. */
  async #fetchWithLogin(request: TokenRequest, again = true): Promise<Token | undefined> {
    const { credentials, settings, service, log } = this.#sources;
    const { target, realm } = request;
    const login = await credentials.login(target);
    if (login === undefined) return undefined;
    if (login.registryToken !== undefined) {
      const token = { value: login.registryToken, life: registryTokenLife };
      return this.#token(token, { account: accountOf(login), login, failedLogin: undefined });
    }
    if (!mayKnowLogin(realm, target, settings.realms)) {
      log.warn({ upstream: settings.name, realm: realm.host }, 'a token service is not told our login');
      return undefined;
    }
    const bought = await service.withLogin(request, login);
    if (bought !== undefined) return this.#bought(bought, accountOf(login));
    credentials.refused(target, login);
    if (!again) throw credentials.refusal(target);
    // It may have been rotated just now. The same one is not given out again.
    return this.#fetchWithLogin(request, false);
  }

  async #inPlaceOfLogin(request: TokenRequest, failedLogin: UpstreamError): Promise<Token> {
    const { service, settings, log, clock } = this.#sources;
    log.warn({ upstream: settings.name, error: describeError(failedLogin) }, 'our login failed: going on without it');
    const bought = await service.anonymously(request).catch(() => {
      throw failedLogin;
    });
    const token = this.#token(bought, { account: undefined, login: undefined, failedLogin });
    return { ...token, until: Math.min(token.until, clock.now() + pause) };
  }

  /** A token that is refused later speaks of the content, also where a login bought it. */
  #bought(bought: BoughtToken, account: string | undefined): Token {
    return this.#token(bought, { account, login: undefined, failedLogin: undefined });
  }

  #token({ value, life }: BoughtToken, meaning: Omit<Authorization, 'header'>): Token {
    return { header: `Bearer ${value}`, until: this.#sources.clock.now() + life * usableShare, ...meaning };
  }
}
