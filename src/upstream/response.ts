import type { Dispatcher } from 'undici';
import type { Deadline } from '../async/deadline.ts';
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

/** A body is larger than what it can honestly be. */
export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}

/** What an upstream answered. Its body must be read to the end, or dumped: else the connection is lost. */
export class UpstreamResponse {
  readonly status: number;
  readonly #headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly #body: Dispatcher.ResponseData['body'];
  readonly #guard: ResponseGuard;
  readonly #buffers: ReadBuffers;
  #reading = false;

  constructor({ statusCode, headers, body }: Dispatcher.ResponseData, guard: ResponseGuard, buffers: ReadBuffers) {
    this.#buffers = buffers;
    this.status = statusCode;
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
   * The body as it arrives. Only waiting counts as silence: a reader may take its time.
   * @throws UpstreamError; the reason of the request's signal.
   */
  async *read(): AsyncGenerator<Buffer, void> {
    const { deadline, patience } = this.#guard;
    this.#reading = true;
    try {
      deadline.set(patience);
      for await (const chunk of this.#body) {
        deadline.pause();
        yield chunk;
        deadline.set(patience);
      }
    } catch (cause) {
      throw this.#guard.failure(cause);
    } finally {
      deadline.clear();
    }
  }

  /** Gives back the memory of a chunk: nobody will look at it again. */
  release(chunk: Buffer): void {
    // Pieces of a chunked body share their memory with the next.
    if (this.#headers['content-length'] !== undefined) this.#buffers.release(chunk);
  }

  /** The whole of a small body. @throws UpstreamError, `invalid` beyond `limit` bytes. */
  async readAll(limit: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let length = 0;
    // Leaving the loop by an exception destroys the body, and with it the connection.
    for await (const chunk of this.read()) {
      length += chunk.length;
      if (length > limit) throw this.#guard.failure(new BodyTooLargeError(`sent more than ${limit} bytes`));
      chunks.push(chunk);
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
    await this.#body.dump({ limit: dumpLimit }).catch(() => {});
    deadline.clear();
  }
}
