import { byteLength } from '../async/byte-length.ts';
import { type Interval, parseContentRange } from '../http/range.ts';
import type { Digest } from '../oci/digest.ts';
import { UpstreamError } from './errors.ts';
import type { Exchange } from './exchange.ts';
import type { UpstreamResponse } from './response.ts';

/** Bytes of a blob on their way. */
export interface BlobPart {
  /** The offset of the first byte. */
  readonly start: number;
  /** The offset behind the last byte; `undefined` when the upstream does not say. */
  readonly end: number | undefined;
  /** Size of the whole blob; `undefined` when the upstream does not say. */
  readonly total: number | undefined;
  /** Whether the upstream answered a Range request as such. */
  readonly ranged: boolean;
  /** Each time, all that has come. Ends after exactly `end - start` bytes, or throws UpstreamError. */
  readonly bytes: AsyncIterable<readonly Buffer[]>;
  /** Gives back the memory of what is not needed any more. Optional: it only saves allocations. */
  release(chunks: readonly Buffer[]): void;
  /** Lets go of the connection, however much was read. */
  close(): Promise<void>;
}

/** A request for a part of a blob is given up after this; its span is given to another one long before. */
const patience = 30_000;

/** Statuses after which a redirect target is stale, and the registry is asked for a new one. */
const expired = new Set([400, 401, 403, 404, 410]);

/** One blob of one repository of an upstream. Remembers, per endpoint, where that redirects to. */
export class BlobSource {
  /** The name of the upstream. */
  readonly upstream: string;
  readonly #exchange: () => Exchange;
  readonly #targets = new Map<string, URL>();
  /** The repository whose name and access this uses. */
  readonly repository: string;
  readonly digest: Digest;

  constructor(upstream: string, repository: string, digest: Digest, exchange: () => Exchange) {
    this.upstream = upstream;
    this.repository = repository;
    this.digest = digest;
    this.#exchange = exchange;
  }

  /**
   * Opens an interval of the blob at this endpoint, or the whole where `interval` is `undefined`. An endpoint that
   * ignores Range sends the whole.
   * @throws UpstreamError
   */
  async open(endpoint: string, interval: Interval | undefined, signal: AbortSignal): Promise<BlobPart> {
    const response = await this.#request(endpoint, interval, signal);
    try {
      return this.#readPart(response, endpoint, interval);
    } catch (error) {
      await response.dump();
      throw error;
    }
  }

  async #request(endpoint: string, interval: Interval | undefined, signal: AbortSignal): Promise<UpstreamResponse> {
    const headers = { accept: '*/*', ...(interval && { range: `bytes=${interval.start}-${interval.end - 1}` }) };
    const question = {
      method: 'GET',
      kind: 'blob',
      endpoint,
      repository: this.repository,
      headers,
      patience,
      signal,
    } as const;
    const target = this.#targets.get(endpoint);
    if (target !== undefined) {
      try {
        return (await this.#exchange().ask({ ...question, url: target })).response;
      } catch (error) {
        this.#targets.delete(endpoint);
        if (!isExpired(error)) throw error;
      }
    }
    const fresh = { ...question, url: this.urlAt(endpoint) };
    const { url, response } = await this.#exchange()
      .ask(fresh)
      .catch((error: unknown) => {
        // The registry has it, since it says where; what is said there of a new URL may not be true of the next one.
        if (!isExpired(error) || error.endpoint === endpoint) throw error;
        return this.#exchange().ask(fresh);
      });
    if (url.href !== this.urlAt(endpoint).href) this.#targets.set(endpoint, url);
    return response;
  }

  /** Where the endpoint has this blob. */
  urlAt(endpoint: string): URL {
    return new URL(`/v2/${this.repository}/blobs/${this.digest}`, endpoint);
  }

  #readPart(response: UpstreamResponse, endpoint: string, interval: Interval | undefined): BlobPart {
    const encoding = response.header('content-encoding') ?? 'identity';
    if (encoding !== 'identity') throw this.#invalid(endpoint, `the blob came with content-encoding ${encoding}`);
    if (response.status !== 206) {
      const length = readLength(response.header('content-length'));
      return { start: 0, end: length, total: length, ranged: false, ...this.#content(response, endpoint, length) };
    }
    const range = parseContentRange(response.header('content-range'));
    if (range === undefined || range.start !== interval?.start || range.end > interval.end) {
      throw this.#invalid(endpoint, 'it sent another range than asked for');
    }
    return { ...range, ranged: true, ...this.#content(response, endpoint, range.end - range.start) };
  }

  #content(
    response: UpstreamResponse,
    endpoint: string,
    expected: number | undefined,
  ): Pick<BlobPart, 'bytes' | 'release' | 'close'> {
    const bytes = this.#counted(response, endpoint, expected);
    return {
      bytes,
      release: (chunks) => response.release(chunks),
      close: async () => {
        await bytes.return();
        await response.dump();
      },
    };
  }

  async *#counted(
    response: UpstreamResponse,
    endpoint: string,
    expected: number | undefined,
  ): AsyncGenerator<readonly Buffer[], void> {
    let received = 0;
    for await (const chunks of response.read()) {
      received += byteLength(chunks);
      if (expected !== undefined && received > expected)
        throw this.#invalid(endpoint, 'it sent more than it announced');
      yield chunks;
    }
    if (expected !== undefined && received < expected) {
      throw new UpstreamError(this.upstream, 'short', 'it sent less than it announced', { endpoint });
    }
  }

  #invalid(endpoint: string, message: string): UpstreamError {
    return new UpstreamError(this.upstream, 'invalid', message, { endpoint });
  }
}

function isExpired(error: unknown): error is UpstreamError {
  return error instanceof UpstreamError && error.status !== undefined && expired.has(error.status);
}

function readLength(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}
