/** Something that goes wrong at a scripted registry, as data. Offsets count from the beginning of the blob. */
export type Fault = { readonly times: number; readonly only: (path: string) => boolean } & (
  | { readonly kind: 'refuse' }
  | { readonly kind: 'resetAfter'; readonly offset: number }
  | { readonly kind: 'stallAfter'; readonly offset: number; readonly ms: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  | { readonly kind: 'endEarly'; readonly offset: number }
  | { readonly kind: 'corruptAt'; readonly offset: number }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter: string | undefined; readonly body: string }
  | { readonly kind: 'ignoreRange' }
  | { readonly kind: 'wrongRange' }
  | { readonly kind: 'wrongLength'; readonly by: number }
  | { readonly kind: 'gzip' }
  | { readonly kind: 'noLength' }
  | { readonly kind: 'noFraming' }
  | { readonly kind: 'redirectTo'; readonly base: string; readonly status: number }
);

/** How often a fault strikes, and where. */
export interface Strike {
  /** Default: once. */
  readonly times?: number;
  /** Default: blobs. */
  readonly only?: (path: string) => boolean;
}

const blobs = (path: string) => path.includes('/blobs/');
const at = ({ times = 1, only = blobs }: Strike) => ({ times, only });

/** For faults that never go away. */
export const always = Number.POSITIVE_INFINITY;

/** Closes the connection without an answer. */
export const refuse = (strike: Strike = {}): Fault => ({ kind: 'refuse', ...at(strike) });
/** Sends a reset when the byte at `offset` is due. */
export const resetAfter = (offset: number, strike: Strike = {}): Fault => ({
  kind: 'resetAfter',
  offset,
  ...at(strike),
});
/** Is silent for `ms` when the byte at `offset` is due. */
export const stallAfter = (offset: number, ms: number, strike: Strike = {}): Fault => ({
  kind: 'stallAfter',
  offset,
  ms,
  ...at(strike),
});
/** Sends no faster than this. */
export const slow = (bytesPerSecond: number, strike: Strike = {}): Fault => ({
  kind: 'slow',
  bytesPerSecond,
  ...at({ times: always, ...strike }),
});
/** Ends the connection in good order, but short, when the byte at `offset` is due. */
export const endEarly = (offset: number, strike: Strike = {}): Fault => ({ kind: 'endEarly', offset, ...at(strike) });
/** Flips the byte at `offset`. */
export const corruptAt = (offset: number, strike: Strike = {}): Fault => ({ kind: 'corruptAt', offset, ...at(strike) });
/** Answers with this status. */
export const status = (code: number, strike: Strike & { retryAfter?: string; body?: string } = {}): Fault => ({
  kind: 'status',
  status: code,
  retryAfter: strike.retryAfter,
  body: strike.body ?? '',
  ...at(strike),
});
/** Answers a Range request with the whole. */
export const ignoreRange = (strike: Strike = {}): Fault => ({
  kind: 'ignoreRange',
  ...at({ times: always, ...strike }),
});
/** Answers with a Content-Range that was not asked for. */
export const wrongRange = (strike: Strike = {}): Fault => ({ kind: 'wrongRange', ...at(strike) });
/** Says that the blob is larger (or smaller) than it is. */
export const wrongLength = (by: number, strike: Strike = {}): Fault => ({ kind: 'wrongLength', by, ...at(strike) });
/** Compresses the body. */
export const gzip = (strike: Strike = {}): Fault => ({ kind: 'gzip', ...at(strike) });
/** Sends the body without saying how long it is. */
export const noLength = (strike: Strike = {}): Fault => ({ kind: 'noLength', ...at({ times: always, ...strike }) });
/** Sends the body without any framing: it ends where the connection does. */
export const noFraming = (strike: Strike = {}): Fault => ({ kind: 'noFraming', ...at({ times: always, ...strike }) });
/** Redirects to the same path at another server: with 307, unless there is a status. */
export const redirectTo = (base: string, strike: Strike & { status?: number } = {}): Fault => ({
  kind: 'redirectTo',
  base,
  status: strike.status ?? 307,
  ...at({ times: always, ...strike }),
});
