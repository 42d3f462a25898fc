import { IntegrityError, RegistryError } from '../oci/errors.ts';
import { StorageError } from '../storage/driver.ts';
import { UpstreamError, type UpstreamFailure } from '../upstream/errors.ts';

/** What is asked for: decides how its absence is called. */
export type Asked = 'manifest' | 'blob' | 'referrers' | 'other';

const statuses: Readonly<Record<UpstreamFailure, number>> = {
  // All that there is is held: clients whose signatures are not there go on, as at a registry without them.
  offline: 404,
  unreachable: 503,
  timeout: 504,
  reset: 502,
  short: 502,
  status: 502,
  // Never 429: containers/image sleeps on it, containerd hammers.
  limited: 503,
  login: 502,
  // Clients turn to the registry itself, with their own credentials, on a plain "not found".
  denied: 404,
  absent: 404,
  invalid: 502,
  forbidden: 502,
};

const absences = {
  manifest: 'MANIFEST_UNKNOWN',
  blob: 'BLOB_UNKNOWN',
  referrers: 'NAME_UNKNOWN',
  other: 'NAME_UNKNOWN',
} as const;

/** The one translation from what can go wrong inside to what a client may see. */
export function toRegistryError(error: unknown, asked: Asked): RegistryError {
  if (error instanceof RegistryError) return error;
  if (error instanceof UpstreamError) return fromUpstream(error, asked);
  if (error instanceof IntegrityError) {
    const message = 'the upstream sent content that does not match its digest';
    return new RegistryError('UNAVAILABLE', { status: 502, message, cause: error });
  }
  if (error instanceof StorageError) {
    return new RegistryError('UNAVAILABLE', { message: 'the cache cannot be read or written', cause: error });
  }
  return new RegistryError('UNKNOWN', { cause: error });
}

function fromUpstream(error: UpstreamError, asked: Asked): RegistryError {
  const { kind, retryAfterMs, upstream } = error;
  // Clients take a list that is not found for one that is empty: no signatures.
  if (asked === 'referrers' && kind === 'denied') return new RegistryError('DENIED', { cause: error });
  const status = statuses[kind];
  if (status === 404) return new RegistryError(absences[asked], { detail: { upstream, reason: kind }, cause: error });
  const retryAfter = retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs / 1000);
  return new RegistryError('UNAVAILABLE', {
    status,
    message: `the upstream ${upstream} did not deliver`,
    detail: { upstream, reason: kind },
    cause: error,
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
}
