import { readFile } from 'node:fs/promises';
import type { UpstreamSettings } from '../config/settings.ts';
import { UpstreamError } from './errors.ts';

/** A login at a registry. Never logged, never sent to any host but those that `auth` allows. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/** Where the login of an upstream comes from: read anew at each use, since sidecars rotate it. */
export class Credentials {
  readonly #settings: UpstreamSettings;

  constructor(settings: UpstreamSettings) {
    this.#settings = settings;
  }

  /** Whether there is a login at all. */
  get present(): boolean {
    return this.#settings.credentials !== undefined;
  }

  /** The login in force now; `undefined` for anonymous access. @throws UpstreamError `login` when it cannot be read. */
  async login(): Promise<Login | undefined> {
    const { credentials, name } = this.#settings;
    if (credentials === undefined) return undefined;
    try {
      const password = (await readFile(credentials.passwordFile, 'utf8')).replace(/\r?\n$/, '');
      return { username: credentials.username, password };
    } catch (cause) {
      throw new UpstreamError(name, 'login', `the password file ${credentials.passwordFile} cannot be read`, { cause });
    }
  }
}

/** The value of an `Authorization: Basic` header: RFC 7617. */
export function basic({ username, password }: Login): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
