import type { Clock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import { programVersion } from '../config/version.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { ForbiddenAddressError } from './addresses.ts';
import type { Circuits, RequestKind } from './circuits.ts';
import type { Connections } from './connections.ts';
import { UpstreamError, type UpstreamFailure } from './errors.ts';
import { Incoming } from './incoming.ts';
import { BodyTooLargeError, UpstreamResponse } from './response.ts';

/** What is sent: nothing but what the mirror itself says. */
export interface OutgoingRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly kind: RequestKind;
  /** The endpoint that it is made for, wherever that leads. */
  readonly endpoint: string;
  /** Whose quota it takes from; `undefined`: that of our address. */
  readonly account: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Milliseconds of silence, before the headers and within the body, after which it has failed. */
  readonly patience: number;
  readonly signal: AbortSignal;
}

/** Some CDNs refuse clients without a name; nothing may be compressed, since it is digests and ranges that count. */
const ownHeaders = { 'user-agent': `weir/${programVersion()}`, 'accept-encoding': 'identity' };

/** How undici calls it that a proxy wants a login, or does not connect. */
const refusedByProxy = /^UND_ERR_(?:INVALID_ARG|ABORTED|PRX_)/;

/** Sends requests of one upstream, and says what it means when there is no answer. */
export class Transport {
  readonly #upstream: string;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #connections: Connections;
  readonly #circuits: Circuits;
  #remaining: number | undefined;

  constructor(upstream: string, connections: Connections, circuits: Circuits, clock: Clock, metrics: Metrics) {
    this.#upstream = upstream;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#connections = connections;
    this.#circuits = circuits;
  }

  /** How many manifests may still be fetched, as the upstream said last; `undefined` where it does not say. */
  get remaining(): number | undefined {
    return this.#remaining;
  }

  /**
   * Sends it, where no limit forbids that.
   * @throws UpstreamError when there is no answer, or a limit; the signal's reason when that aborts.
   */
  send(request: OutgoingRequest): Promise<UpstreamResponse> {
    const { url, kind, account } = request;
    return this.#circuits.pass({ origin: url.origin, kind, account }, async () => {
      try {
        return await this.#sendCounted(request);
      } catch (error) {
        if (!(error instanceof UpstreamError && error.kind === 'reset')) throw error;
        // A kept connection that the other side closed just now says nothing: the same again, on a new one.
        return this.#sendCounted(request);
      }
    });
  }

  /** Begins no more requests; resolves when those that have begun are over. */
  async drain(): Promise<void> {
    await this.#connections.drain();
  }

  /** Ends everything. */
  async close(): Promise<void> {
    await this.#connections.close();
  }

  async #sendCounted(request: OutgoingRequest): Promise<UpstreamResponse> {
    const { endpoint, kind, url } = request;
    const count = (code: string) =>
      this.#metrics.upstreamRequests.inc({ upstream: this.#upstream, endpoint, kind, code });
    try {
      const response = await this.#sendOnce(request);
      count(String(response.status));
      if (url.origin === endpoint) this.#noteRemaining(response.header('ratelimit-remaining'));
      return response;
    } catch (error) {
      if (error instanceof UpstreamError) count(error.kind);
      throw error;
    }
  }

  /** Docker Hub's header: `76;w=21600`. */
  #noteRemaining(header: string | undefined): void {
    const [, digits] = /^(\d{1,9})(?:;|$)/.exec(header ?? '') ?? [];
    if (digits === undefined) return;
    this.#remaining = Number(digits);
    this.#metrics.ratelimitRemaining.set({ upstream: this.#upstream }, this.#remaining);
  }

  async #sendOnce({ method, url, headers, body, patience, signal }: OutgoingRequest): Promise<UpstreamResponse> {
    const silent = () => this.#error('timeout', url, `${url.host} is silent`);
    const deadline = new Deadline(this.#clock, silent, signal);
    const path = url.pathname + url.search;
    const options = { origin: url.origin, path, method, headers: { ...ownHeaders, ...headers }, body: body ?? null };
    let proxy: string | undefined;
    const failure = (cause: unknown) =>
      deadline.signal.aborted ? deadline.signal.reason : this.#failureOf(cause, url, proxy);
    try {
      deadline.set(patience);
      const line = this.#connections.lineTo(url);
      proxy = line.proxy;
      const incoming = new Incoming(deadline.signal);
      line.dispatcher.dispatch(options, incoming);
      const head = await incoming.head;
      // The other side's good-bye, in the middle of a body, is an end before the end.
      const cutShort = (cause: unknown) =>
        !deadline.signal.aborted && codeOf(cause) === 'UND_ERR_SOCKET'
          ? this.#error('short', url, `${url.host} closed the connection`, cause)
          : failure(cause);
      return new UpstreamResponse(head, incoming, { deadline, patience, failure: cutShort }, line.buffers);
    } catch (cause) {
      deadline.clear();
      throw failure(cause);
    } finally {
      deadline.pause();
    }
  }

  #failureOf(cause: unknown, url: URL, proxy: string | undefined): UpstreamError {
    if (cause instanceof UpstreamError) return cause;
    if (cause instanceof ForbiddenAddressError) return this.#error('forbidden', url, cause.message, cause);
    if (cause instanceof BodyTooLargeError) return this.#error('invalid', url, `${url.host} ${cause.message}`, cause);
    const code = codeOf(cause);
    if (proxy === undefined) return this.#error(kindOf(code), url, `${url.host}: ${code}`, cause);
    // Of a proxy's refusal, only undici's text knows what it was.
    const what = refusedByProxy.test(code) && cause instanceof Error ? cause.message : code;
    return this.#error(kindOf(code), url, `${url.host} through the proxy ${proxy}: ${what}`, cause);
  }

  #error(kind: UpstreamFailure, url: URL, message: string, cause?: unknown): UpstreamError {
    return new UpstreamError(this.#upstream, kind, message, { endpoint: url.origin, cause });
  }
}

function kindOf(code: string): UpstreamFailure {
  if (/TIMEOUT|TIMEDOUT/.test(code)) return 'timeout';
  if (/^(?:ECONNRESET|EPIPE|UND_ERR_SOCKET|UND_ERR_CLOSED|UND_ERR_DESTROYED)$/.test(code)) return 'reset';
  if (refusedByProxy.test(code)) return 'unreachable';
  if (/^(?:UND_ERR_|HPE_|HTTPParserError)/.test(code)) return 'invalid';
  return 'unreachable';
}

/** Parser errors of undici have a name, but not always a code. */
function codeOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'failed';
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
}
