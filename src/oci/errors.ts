/** Every error code that a client can see, with its usual status and message: distribution-spec, "Error Codes". */
const codes = {
  BLOB_UNKNOWN: { status: 404, message: 'blob unknown to registry' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, message: 'blob upload unknown to registry' },
  DENIED: { status: 403, message: 'requested access to the resource is denied' },
  DIGEST_INVALID: { status: 400, message: 'provided digest is not valid' },
  MANIFEST_INVALID: { status: 502, message: 'the upstream sent a manifest that is not valid' },
  MANIFEST_UNKNOWN: { status: 404, message: 'manifest unknown' },
  NAME_INVALID: { status: 400, message: 'invalid repository name' },
  NAME_UNKNOWN: { status: 404, message: 'repository name not known to registry' },
  PAGINATION_NUMBER_INVALID: { status: 400, message: 'invalid number of results requested' },
  RANGE_INVALID: { status: 416, message: 'the requested range cannot be satisfied' },
  TAG_INVALID: { status: 400, message: 'manifest tag is not valid' },
  UNAUTHORIZED: { status: 401, message: 'authentication required' },
  UNAVAILABLE: { status: 503, message: 'service unavailable' },
  UNKNOWN: { status: 500, message: 'internal error' },
  UNSUPPORTED: { status: 405, message: 'the operation is unsupported' },
} as const;

/** A code of the distribution specification. */
export type ErrorCode = keyof typeof codes;

/** What may differ from the code's usual status and message. */
export interface RegistryErrorOptions {
  readonly status?: number;
  readonly message?: string;
  /** Anything JSON, for the client's eyes: nothing that came from an upstream. */
  readonly detail?: unknown;
  /** Seconds for `Retry-After`. */
  readonly retryAfter?: number;
  readonly cause?: unknown;
}

/** The one kind of error that reaches a client, in the shape of the distribution specification. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: unknown;
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, options: RegistryErrorOptions = {}) {
    super(options.message ?? codes[code].message, { cause: options.cause });
    this.code = code;
    this.status = options.status ?? codes[code].status;
    this.detail = options.detail;
    this.retryAfter = options.retryAfter;
  }

  /** The body that goes on the wire. */
  toJSON(): unknown {
    return { errors: [{ code: this.code, message: this.message, detail: this.detail ?? null }] };
  }
}

/** Content that is not what its digest or its descriptor says. */
export class IntegrityError extends Error {
  override readonly name = 'IntegrityError';
  readonly expected: string;
  readonly actual: string;

  constructor(expected: string, actual: string) {
    super(`expected ${expected}, got ${actual}`);
    this.expected = expected;
    this.actual = actual;
  }
}
