import { setImmediate } from 'node:timers/promises';
import { byteLength } from '../async/byte-length.ts';
import type { Deadline } from '../async/deadline.ts';
import type { Head, Incoming } from './incoming.ts';
import type { ReadBuffers } from './read-buffers.ts';

/** How a connection's errors are told apart from its silence, and both from the caller's abort. */
export interface ResponseGuard {
  /** Fires after too long a silence. */
  readonly deadline: Deadline;
  /** Milliseconds of silence that are too long. */
  readonly patience: number;
  /** Says what an error of the connection means. */
  failure(cause: unknown): unknown;
}

/** Of a body that nobody wants, so many bytes and milliseconds are worth a connection. */
const dumpLimit = 64 * 1024;
const dumpPatience = 1000;
/** What is taken of a body is gathered until it is so many bytes, which are worth a write of their own, */
const enough = 512 * 1024;
/** or for so many turns of the event loop: well below a millisecond when nothing else goes on. */
const turns = 8;

/** A body is larger than what it can honestly be. */
export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}

/** What an upstream answered. Its body must be read to the end, or dumped: else the connection is lost. */
export class UpstreamResponse {
  readonly status: number;
  readonly #headers: Head['headers'];
  readonly #body: Incoming;
  readonly #guard: ResponseGuard;
  readonly #buffers: ReadBuffers;
  #reading = false;

  constructor({ status, headers }: Head, body: Incoming, guard: ResponseGuard, buffers: ReadBuffers) {
    this.#buffers = buffers;
    this.status = status;
    this.#headers = headers;
    this.#body = body;
    this.#guard = guard;
  }

  /** The value of a header; repeated headers are joined by commas. */
  header(name: string): string | undefined {
    return this.#headers[name]?.toString();
  }

  /** The values of a header that may be repeated, each on its own. */
  headerLines(name: string): readonly string[] {
    const value = this.#headers[name];
    return value === undefined ? [] : [value].flat();
  }

  /**
   * The body as it arrives: each time, all that has come since. Only waiting counts as silence: a reader may take its time.
   * @throws UpstreamError; the reason of the request's signal.
   */
  async *read(): AsyncGenerator<readonly Buffer[], void> {
    const { deadline, patience } = this.#guard;
    this.#reading = true;
    try {
      for (let first = true; ; first = false) {
        deadline.set(patience);
        await this.#body.arrival();
        deadline.pause();
        if (!first) await this.#gather();
        const chunks = this.#body.take();
        if (chunks.length === 0) return;
        yield chunks;
      }
    } catch (cause) {
      throw this.#guard.failure(cause);
    } finally {
      deadline.clear();
      this.#body.abort(new Error('nobody reads the rest'));
    }
  }

  /** What comes in little pieces is worth more together; the first one is worth most at once. */
  async #gather(): Promise<void> {
    for (let turn = 0; turn < turns && this.#body.waiting < enough && !this.#body.ended; turn++) await setImmediate();
  }

  /** Gives back the memory of chunks: nobody will look at them again. */
  release(chunks: readonly Buffer[]): void {
    // Pieces of a chunked body share their memory with the next.
    if (this.#headers['content-length'] === undefined) return;
    for (const chunk of chunks) this.#buffers.release(chunk);
  }

  /** The whole of a small body. @throws UpstreamError, `invalid` beyond `limit` bytes. */
  async readAll(limit: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const come of this.read()) {
      chunks.push(...come);
      length += byteLength(come);
      // Leaving the loop by an exception cuts the connection.
      if (length > limit) throw this.#guard.failure(new BodyTooLargeError(`sent more than ${limit} bytes`));
    }
    return Buffer.concat(chunks, length);
  }

  /**
   * Throws away a body that nobody has begun to read: a small one that comes at once is received, so that the connection
   * can be used again, another one is cut.
   */
  async dump(): Promise<void> {
    if (this.#reading) return;
    const { deadline } = this.#guard;
    deadline.set(dumpPatience);
    await this.#discard().catch(() => {});
    deadline.clear();
    this.#body.abort(new Error('nobody reads it'));
  }

  async #discard(): Promise<void> {
    if (Number(this.header('content-length') ?? 0) > dumpLimit) return;
    for (let left = dumpLimit; left >= 0; ) {
      await this.#body.arrival();
      const chunks = this.#body.take();
      if (chunks.length === 0) return;
      left -= byteLength(chunks);
    }
  }
}
