import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import { SingleFlight } from '../async/singleflight.ts';
import { RotatedFiles } from '../config/rotated-files.ts';
import { type BasicLogin, parseBasic } from '../http/basic.ts';
import { describeError, type Log } from '../metrics/log.ts';
import { RegistryError } from '../oci/errors.ts';
import { Bcrypt } from './bcrypt.ts';
import { type Htpasswd, parseHtpasswd } from './htpasswd.ts';

/** So many logins are remembered. */
const maxKnown = 10_000;

/** Who may use the mirror: the users of an htpasswd file, as it is now. */
export class Logins {
  readonly #file: RotatedFiles<Htpasswd>;
  readonly #bcrypt: Bcrypt;
  readonly #comparing = new SingleFlight<boolean>();
  /** Logins that were right. Password and hash are both in the key, so that a new file makes them worthless. */
  readonly #known = new LRUCache<string, true>({ maxSize: maxKnown, sizeCalculation: () => 1 });
  readonly #secret = randomBytes(32);

  /** @throws ConfigError when the file cannot be read. */
  constructor(path: string, clock: Clock, log: Log) {
    this.#file = new RotatedFiles([path], ([content]) => parseHtpasswd(content?.toString('utf8') ?? '', path), clock, {
      changed: (users) => log.info({ htpasswd: path, users: users.size }, 'the list of users was replaced'),
      failed: (error) => {
        const fields = { htpasswd: path, error: describeError(error) };
        log.error(fields, 'the new list of users cannot be used, the old one stays');
      },
    });
    this.#bcrypt = new Bcrypt();
  }

  /** Lets in whoever is in the file. @throws RegistryError `UNAUTHORIZED`; `UNAVAILABLE` when too many log in at once. */
  async check(authorization: string | undefined): Promise<void> {
    const login = parseBasic(authorization);
    if (login === undefined || !(await this.#isRight(login))) throw new RegistryError('UNAUTHORIZED');
  }

  async close(): Promise<void> {
    this.#file.close();
    await this.#bcrypt.close();
  }

  async #isRight({ username, password }: BasicLogin): Promise<boolean> {
    const users = this.#file.current;
    const hash = users.get(username);
    // An unknown user takes as long as a wrong password: somebody's hash is compared all the same.
    const [compared = hash] = hash === undefined ? users.values() : [hash];
    if (compared === undefined) return false;
    const key = this.#keyOf(password, compared);
    if (hash !== undefined && this.#known.has(key)) return true;
    const matches = await this.#comparing.run(key, () => this.#bcrypt.matches(password, compared));
    if (!matches || hash === undefined) return false;
    this.#known.set(key, true);
    return true;
  }

  #keyOf(password: string, hash: string): string {
    return createHmac('sha256', this.#secret).update(`${hash}:${password}`).digest('base64');
  }
}
