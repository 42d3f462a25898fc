import type { IncomingMessage } from 'node:http';
import type { Clock } from '../async/clock.ts';
import type { Log } from '../metrics/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import type { StreamEnd } from '../pulls/layer.ts';
import type { PullClient } from '../pulls/pull.ts';
import type { PullStream } from '../pulls/pull-stream.ts';
import type { RangeReads } from '../pulls/range-reads.ts';
import { parseRuntime, type Runtime } from '../pulls/runtimes.ts';

/** What a request was about. */
export type RouteName = 'ping' | 'manifest' | 'blob' | 'tags' | 'referrers' | 'other';

/** Where it is said what a request was. */
export interface AccessParts {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly rangeReads: RangeReads;
}

/** One request, from its arrival to its last byte: what the log and the metrics say of it. */
export class AccessRecord {
  readonly #clock: Clock;
  readonly #method: string;
  readonly #arrivedAt: number;
  /** Its address. */
  readonly client: string;
  readonly runtime: Runtime;
  route: RouteName = 'other';
  /** The repository with its upstream, and the reference. */
  image: string | undefined;
  digest: Digest | undefined;
  /** The blob that is sent. Where it comes from is certain at the end only. */
  blob: { readonly origin: 'hit' | 'flight' | 'pass' } | undefined;
  /** Whether all that is sent was there when it was asked for. */
  wasHeld = false;
  /** The stream of a pull that it is, where it is one. */
  stream: PullStream | undefined;
  /** Why it failed, for the log only. */
  error: string | undefined;
  #bytes = 0;
  #firstByteAt: number | undefined;
  #longestGap = 0;
  #takenAt: number;

  constructor(request: IncomingMessage, client: string, clock: Clock) {
    this.#clock = clock;
    this.#method = request.method ?? '';
    this.#arrivedAt = clock.now();
    this.#takenAt = this.#arrivedAt;
    this.client = client;
    this.runtime = parseRuntime(request.headers['user-agent']);
  }

  /** Who asks. */
  get puller(): PullClient {
    return { address: this.client, runtime: this.runtime };
  }

  /** Bytes of content are handed to the client's connection. */
  sent(bytes: number): void {
    const now = this.#clock.now();
    if (this.#firstByteAt === undefined) this.#firstByteAt = now;
    else this.#longestGap = Math.max(this.#longestGap, now - this.#takenAt);
    this.#bytes += bytes;
    this.stream?.sent(bytes);
  }

  /** The client has taken all that was sent: from now on, it is the mirror that is silent. */
  taken(): void {
    this.#takenAt = this.#clock.now();
    this.stream?.taken();
  }

  /** The response is over, complete or not. */
  finish(status: number, complete: boolean, { log, metrics, rangeReads }: AccessParts): void {
    this.stream?.end(this.#endOf(status, complete));
    metrics.requests.inc({ route: this.route, code: String(status) });
    const source = this.blob?.origin;
    if (source !== undefined) {
      metrics.servedBytes.inc({ source }, this.#bytes);
      if (this.#firstByteAt !== undefined) {
        metrics.firstByte.observe({ source }, (this.#firstByteAt - this.#arrivedAt) / 1000);
      }
    }
    const fields = this.#fields(status, complete);
    if (status !== 206 || !this.wasHeld || this.digest === undefined) {
      log.info(fields, 'request');
      return;
    }
    const reads = rangeReads.note(this.client, this.digest);
    if (reads === undefined) log.debug(fields, 'request');
    else log.info({ ...fields, reads }, 'request');
  }

  #endOf(status: number, complete: boolean): StreamEnd {
    if (this.error !== undefined) return 'failed';
    if (!complete) return 'aborted';
    return status === 200 || status === 206 ? 'delivered' : 'withdrawn';
  }

  #fields(status: number, complete: boolean): Record<string, unknown> {
    const { name, version } = this.runtime;
    // Only of blobs are bytes counted: 0 for a manifest that was sent would be wrong.
    const isBlob = this.route === 'blob';
    return {
      client: this.client,
      runtime: version === '' ? name : `${name}/${version}`,
      method: this.#method,
      route: this.route,
      image: this.image,
      digest: this.digest,
      status,
      source: this.blob?.origin,
      bytes: isBlob ? this.#bytes : undefined,
      firstByteMs: this.#firstByteAt === undefined ? undefined : round(this.#firstByteAt - this.#arrivedAt),
      gapMs: isBlob ? round(this.#longestGap) : undefined,
      ms: round(this.#clock.now() - this.#arrivedAt),
      ...(complete ? {} : { cut: true }),
      error: this.error,
    };
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
