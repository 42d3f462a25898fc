import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { RegistryError } from '../oci/errors.ts';
import type { BcryptAnswer, BcryptQuestion } from './bcrypt-worker.ts';

/** So many passwords wait for their turn at most. */
const maxWaiting = 64;

interface Waiter {
  resolve(matches: boolean): void;
  reject(error: Error): void;
}

/**
 * Compares passwords with their hashes, one after the other, in a thread of its own: it is meant to be slow, and must
 * neither hold up what is being served nor take more than one processor.
 */
export class Bcrypt {
  // The extension is this file's own: `.ts` from the sources, `.js` once built.
  readonly #worker = new Worker(new URL(`./bcrypt-worker${extname(import.meta.url)}`, import.meta.url));
  readonly #waiting = new Map<number, Waiter>();
  #lastId = 0;
  #ended = false;

  constructor() {
    this.#worker.on('message', ({ id, matches }: BcryptAnswer) => {
      this.#waiting.get(id)?.resolve(matches);
      this.#waiting.delete(id);
    });
    this.#worker.on('error', (cause) => this.#fail(cause));
    this.#worker.on('exit', () => this.#fail(undefined));
    // After `on`, which would take it back: an idle thread does not keep the process.
    this.#worker.unref();
  }

  /** Whether this password has this hash. @throws RegistryError `UNAVAILABLE` when too many wait, or the thread has ended. */
  matches(password: string, hash: string): Promise<boolean> {
    if (this.#ended) throw unavailable('logins cannot be checked');
    if (this.#waiting.size >= maxWaiting) throw unavailable('too many clients log in at once');
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, password, hash } satisfies BcryptQuestion);
    });
  }

  /** Ends the thread; who waits is told. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(cause: unknown): void {
    this.#ended = true;
    for (const { reject } of this.#waiting.values()) reject(unavailable('logins cannot be checked', cause));
    this.#waiting.clear();
  }
}

function unavailable(message: string, cause?: unknown): RegistryError {
  return new RegistryError('UNAVAILABLE', { message, cause });
}
