/** How an upstream failed. */
export type UpstreamFailure =
  /** It is configured to be never asked: what is not held is not there. */
  | 'offline'
  /** No connection: name, address, TLS. */
  | 'unreachable'
  /** Silence for too long. */
  | 'timeout'
  /** The connection ended in the middle. */
  | 'reset'
  /** The body ended before its announced end. */
  | 'short'
  /** 5xx, or a status that makes no sense here. */
  | 'status'
  /** 429. */
  | 'limited'
  /** Our own credentials were refused: says nothing about the content. */
  | 'login'
  /** 401 or 403 for this content. */
  | 'denied'
  /** 404: there is no such content. */
  | 'absent'
  /** What was sent is not what was asked for, or not what it claims to be. */
  | 'invalid'
  /** It pointed to where the configuration does not let us go. */
  | 'forbidden';

/** What is known of a failure. */
export interface UpstreamErrorOptions {
  /** The endpoint's origin: never a signed URL. */
  readonly endpoint?: string | undefined;
  readonly status?: number | undefined;
  /** Milliseconds that the upstream asked to wait. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** An upstream did not deliver. Messages hold no credential and no signed URL. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly upstream: string;
  /** The message without the name of the upstream. */
  readonly reason: string;
  readonly kind: UpstreamFailure;
  readonly endpoint: string | undefined;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(upstream: string, kind: UpstreamFailure, message: string, options: UpstreamErrorOptions = {}) {
    super(`${upstream}: ${message}`, { cause: options.cause });
    this.upstream = upstream;
    this.reason = message;
    this.kind = kind;
    this.endpoint = options.endpoint;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** Whether the upstream gave an answer about the content, which asking again would not change. */
  get definite(): boolean {
    return this.kind === 'absent' || this.kind === 'denied';
  }

  /** Whether the same request may fare better later. */
  get retriable(): boolean {
    return !this.definite && this.kind !== 'forbidden';
  }
}

/** Whether this is an upstream's answer about the content, as opposed to a failure. */
export function isDefinite(error: unknown): error is UpstreamError {
  return error instanceof UpstreamError && error.definite;
}
