import type { Digest } from '../oci/digest.ts';
import type { Flight } from './flight.ts';

/** A blob that is arriving, as it is shown. */
export interface FlightView {
  readonly upstream: string;
  readonly digest: Digest;
  /** Bytes; `null` while it is not known. */
  readonly size: number | null;
  /** Half-open intervals of the bytes that are there. */
  readonly held: readonly (readonly [start: number, end: number])[];
  /** Bytes per second. */
  readonly rate: number;
  readonly readers: number;
  /** The endpoint that was asked last. */
  readonly endpoint: string | null;
  /** Requests that were made for it. */
  readonly attempts: number;
}

/** Shows a flight. */
export function viewFlight({ registry, digest, blob, deliveries }: Flight): FlightView {
  return {
    upstream: registry.name,
    digest,
    size: blob.size ?? null,
    held: blob.held.intervals.map(({ start, end }) => [start, end]),
    rate: deliveries.rate,
    readers: blob.readers.size,
    endpoint: deliveries.last ?? null,
    attempts: deliveries.attempts,
  };
}
