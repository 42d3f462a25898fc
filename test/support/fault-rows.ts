import {
  corruptAt,
  endEarly,
  type Fault,
  gzip,
  refuse,
  resetAfter,
  stallAfter,
  status,
  wrongLength,
  wrongRange,
} from './faults.ts';
import { combine } from './pairwise.ts';

/** Bytes of the blob. */
export const size = 2_500_000;
/** For a fault that does not go away while a row runs: it can be counted. */
export const often = 1000;

/** Where a fault strikes: the offset of the byte that is due, and how many requests are answered well before. */
export const places = {
  'first byte': { offset: 0, after: 0 },
  '1 MiB': { offset: 1024 * 1024, after: 1 },
  middle: { offset: size / 2, after: 2 },
  'last span': { offset: size - 10, after: 3 },
} as const;

type Only = { readonly only: (path: string) => boolean };
type Place = (typeof places)[keyof typeof places];

/** Faults that have a place in the blob. */
export const offsetFaults: Readonly<Record<string, (place: Place, only: Only) => Fault>> = {
  resetAfter: ({ offset }, only) => resetAfter(offset, only),
  stallAfter: ({ offset }, only) => stallAfter(offset, 60_000, only),
  endEarly: ({ offset }, only) => endEarly(offset, only),
  corruptAt: ({ offset }, only) => corruptAt(offset, { ...only, times: often }),
};
/** Faults that one request has. */
export const requestFaults: Readonly<Record<string, (only: Only) => Fault>> = {
  refuse,
  'status 500': (only) => status(500, only),
  'status 429': (only) => status(429, { ...only, retryAfter: '1' }),
  wrongRange,
  wrongLength: (only) => wrongLength(5, only),
  gzip,
  dropAuth: (only) => status(401, only),
  'expired URL': (only) => status(403, only),
};
/** Those that are no fault of an answer. */
const otherFaults = ['slow', 'expireToken'];

/** One row of the matrix. */
export interface FaultRow extends Readonly<Record<string, string | number | boolean>> {
  readonly fault: string;
  readonly place: keyof typeof places;
  readonly endpoints: number;
  readonly range: boolean;
  readonly client: 'first' | 'late' | 'range';
}

/** Every row that is physically possible. */
export function allRows(): FaultRow[] {
  const names = [...Object.keys(offsetFaults), ...Object.keys(requestFaults), ...otherFaults];
  const rows = combine<FaultRow>({
    fault: names,
    place: Object.keys(places) as FaultRow['place'][],
    endpoints: [1, 2],
    range: [true, false],
    client: ['first', 'late', 'range'],
  });
  return rows.filter(isPossible);
}

/**
 * Without Range there is one request, so faults of later ones do not occur, and none has a wrong range; what is slow is
 * so everywhere.
 */
function isPossible({ fault, range, place }: FaultRow): boolean {
  if (place !== 'first byte' && (fault === 'slow' || (!range && !(fault in offsetFaults)))) return false;
  return range || fault !== 'wrongRange';
}
