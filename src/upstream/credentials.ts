import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import type { UpstreamSettings } from '../config/settings.ts';
import { CredentialHelperError, CredentialHelpers } from './credential-helper.ts';
import { DockerConfigError, findDockerEntry } from './docker-config.ts';
import { UpstreamError } from './errors.ts';
import type { AuthTarget, Login } from './login.ts';

/** Milliseconds for which a login that was refused is not shown again where it was: accounts get locked. */
const pause = 5000;

/** The logins of one upstream. Files are read anew at each use, since sidecars rotate them. */
export class Credentials {
  readonly #settings: UpstreamSettings;
  readonly #clock: Clock;
  readonly #helpers: CredentialHelpers;
  /** Until when, by place and login. */
  readonly #refusals = new LRUCache<string, number>({ max: 1000 });

  constructor(settings: UpstreamSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#helpers = new CredentialHelpers(clock);
  }

  /** Whether there may be a login at all. */
  get configured(): boolean {
    return this.#settings.credentials !== undefined;
  }

  /**
   * The login in force now for this repository; `undefined` for anonymous access, as everywhere but at our own endpoints.
   * @throws UpstreamError `login` when it cannot be read, or was refused a moment ago and has not changed.
   */
  async login(target: AuthTarget): Promise<Login | undefined> {
    const login = target.trusted ? await this.#read(target) : undefined;
    if (login === undefined) return undefined;
    if ((this.#refusals.get(idOf(target, login)) ?? 0) > this.#clock.now()) throw this.refusal(target);
    return login;
  }

  /** Whether there is a login for this repository, or one that cannot be read or was refused a moment ago. */
  async maybe(target: AuthTarget): Promise<boolean> {
    try {
      return (await this.login(target)) !== undefined;
    } catch (error) {
      if (error instanceof UpstreamError && error.kind === 'login') return true;
      throw error;
    }
  }

  /** Notes that this login was refused here. */
  refused(target: AuthTarget, login: Login): void {
    this.#refusals.set(idOf(target, login), this.#clock.now() + pause);
    this.#helpers.refused(login);
  }

  /** What a refused login means: it says nothing about the content. */
  refusal({ url }: AuthTarget): UpstreamError {
    return this.#error('our login was refused', { endpoint: url.origin, status: 401 });
  }

  async #read(target: AuthTarget): Promise<Login | undefined> {
    const { credentials } = this.#settings;
    if (credentials === undefined) return undefined;
    if ('dockerConfig' in credentials) return this.#readDockerConfig(credentials.dockerConfig, target);
    const password = (await this.#readFile(credentials.passwordFile)).replace(/\r?\n$/, '');
    return {
      account: { username: credentials.username, password },
      identityToken: undefined,
      registryToken: undefined,
    };
  }

  async #readDockerConfig(path: string, { url, repository }: AuthTarget): Promise<Login | undefined> {
    const text = await this.#readFile(path);
    try {
      const entry = findDockerEntry(text, url.host, repository);
      if (entry === undefined || 'login' in entry) return entry?.login;
      return await this.#helpers.login(entry.helper, entry.key);
    } catch (cause) {
      if (!(cause instanceof DockerConfigError || cause instanceof CredentialHelperError)) throw cause;
      throw this.#error(`${path}: ${cause.message}`, { cause });
    }
  }

  async #readFile(path: string): Promise<string> {
    try {
      return await readFile(path, 'utf8');
    } catch (cause) {
      throw this.#error(`the credentials file ${path} cannot be read`, { cause });
    }
  }

  #error(message: string, options: ConstructorParameters<typeof UpstreamError>[3]): UpstreamError {
    return new UpstreamError(this.#settings.name, 'login', message, options);
  }
}

function idOf({ url, repository }: AuthTarget, login: Login): string {
  const fingerprint = createHash('sha256').update(JSON.stringify(login)).digest('hex');
  return `${url.origin} ${repository} ${fingerprint}`;
}
