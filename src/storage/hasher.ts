import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Algorithm } from '../oci/digest.ts';
import { type Piece, StorageError } from './driver.ts';
import type { HashReply, HashRequest } from './hash-worker.ts';

type Question = HashRequest extends infer R ? (R extends HashRequest ? Omit<R, 'id' | 'stream'> : never) : never;

interface Waiter {
  resolve(reply: HashReply): void;
  reject(error: Error): void;
}

/** One file that is hashed in order. Its calls are answered in the order they were made. */
export interface HashStream {
  hash(to: number): Promise<readonly Piece[]>;
  digest(): Promise<{ readonly hex: string; readonly tail: Piece | undefined }>;
  checksum(intervals: readonly { readonly start: number; readonly end: number }[]): Promise<readonly Piece[]>;
  close(): Promise<void>;
}

/** A thread that hashes files, so that the serving thread never does. */
export class Hasher {
  // The extension is this file's own: `.ts` from the sources, `.js` once built.
  readonly #worker = new Worker(new URL(`./hash-worker${extname(import.meta.url)}`, import.meta.url));
  readonly #waiting = new Map<number, Waiter>();
  #lastId = 0;
  #lastStream = 0;
  #failure: StorageError | undefined;

  constructor() {
    this.#worker.on('message', (reply: HashReply) => this.#settle(reply));
    this.#worker.on('error', (cause) =>
      this.#fail(new StorageError('EHASHER', 'the hashing thread failed', { cause })),
    );
    this.#worker.on('exit', () => this.#fail(new StorageError('EHASHER', 'the hashing thread has ended')));
    // After `on`, which would take it back: an idle thread does not keep the process.
    this.#worker.unref();
  }

  /** Opens a file for hashing. Whether that can be done, the first use says. @throws StorageError where the thread has failed */
  open(path: string, algorithm: Algorithm): HashStream {
    if (this.#failure) throw this.#failure;
    const stream = ++this.#lastStream;
    const opened = this.#ask(stream, { op: 'open', path, algorithm });
    // Whoever uses it hears of it.
    opened.catch(() => {});
    const ask = async (question: Question) => {
      await opened;
      return this.#ask(stream, question);
    };
    return {
      hash: async (to) => (await ask({ op: 'hash', to })).pieces ?? [],
      digest: async () => {
        const { hex = '', pieces } = await ask({ op: 'digest' });
        return { hex, tail: pieces?.[0] };
      },
      checksum: async (intervals) => (await ask({ op: 'checksum', intervals })).pieces ?? [],
      close: async () => {
        const isOpen = await opened.then(
          () => true,
          () => false,
        );
        if (isOpen) await this.#ask(stream, { op: 'close' });
      },
    };
  }

  /** Ends the thread; what was asked and not answered fails. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #ask(stream: number, question: Question): Promise<HashReply> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      // While somebody waits for an answer the process must not end for want of work.
      this.#worker.ref();
      this.#worker.postMessage({ id, stream, ...question } satisfies HashRequest);
    });
  }

  #settle(reply: HashReply): void {
    const waiter = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (reply.error === undefined) waiter?.resolve(reply);
    else waiter?.reject(new StorageError(reply.error, `a file could not be hashed (${reply.error})`));
  }

  #fail(error: StorageError): void {
    this.#failure ??= error;
    for (const waiter of this.#waiting.values()) waiter.reject(error);
    this.#waiting.clear();
  }
}
