/** A half-open interval of byte offsets: `start` ≤ x < `end`. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}

/** One member of a `Range` header, before the size of the content is known: RFC 9110 §14.1.1. */
export type RangeSpec =
  | { readonly first: number; readonly last: number }
  | { readonly first: number }
  | { readonly suffix: number };

/** A `Range` header against content of a known size. */
export type RangeOutcome =
  | { readonly kind: 'whole' }
  | { readonly kind: 'single'; readonly interval: Interval; readonly openEnded: boolean }
  | { readonly kind: 'multiple'; readonly intervals: readonly Interval[] }
  | { readonly kind: 'unsatisfiable' };

/** More ranges in one request than this are answered as a bad request: containers/image sends at most 1,024. */
export const maxRanges = 2048;

/** A `Range` header that asks for several ranges of which one is bad: clients recover from 400, and from nothing else. */
export class MultipleRangeError extends Error {
  override readonly name = 'MultipleRangeError';
}

/**
 * Reads a `Range` header. Absent, of another unit, repeated, or junk is `undefined`: the whole is served (RFC 9110 §14.2).
 * Empty list members count as absent. An inverted range (`500-0`) is kept, so that it is found unsatisfiable.
 * @throws MultipleRangeError when a list has a bad member or more than `maxRanges`.
 */
export function parseRange(header: string | undefined): readonly RangeSpec[] | undefined {
  // Header lines that were joined have a second unit.
  const list = header === undefined ? undefined : /^\s*bytes\s*=([^=]*)$/is.exec(header)?.[1];
  if (list === undefined) return undefined;
  const members = list
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
  if (members.length > maxRanges) throw new MultipleRangeError(`more than ${maxRanges} ranges`);
  const specs = members.map(parseMember);
  const valid = specs.filter((spec) => spec !== undefined);
  if (valid.length === specs.length) return valid.length === 0 ? undefined : valid;
  if (specs.length === 1) return undefined;
  throw new MultipleRangeError('a range of the list is malformed');
}

function parseMember(member: string): RangeSpec | undefined {
  const match = /^(\d*)-(\d*)$/.exec(member);
  if (!match) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '') return last === '' ? undefined : { suffix: Number(last) };
  return last === '' ? { first: Number(first) } : { first: Number(first), last: Number(last) };
}

/**
 * Decides what a range request gets of `size` bytes (RFC 9110 §14.2). Content of 0 bytes is served whole.
 * @throws MultipleRangeError when one range of several cannot be satisfied, or they sum to more than the content.
 */
export function resolveRange(specs: readonly RangeSpec[] | undefined, size: number): RangeOutcome {
  const [spec] = specs ?? [];
  if (specs === undefined || spec === undefined || size === 0) return { kind: 'whole' };
  const intervals = specs.map((each) => toInterval(each, size)).filter((interval) => interval !== undefined);
  const [interval] = intervals;
  if (specs.length === 1) {
    if (interval === undefined) return { kind: 'unsatisfiable' };
    return { kind: 'single', interval, openEnded: 'first' in spec && !('last' in spec) };
  }
  if (intervals.length < specs.length) throw new MultipleRangeError('a range of the list cannot be satisfied');
  const sum = intervals.reduce((total, { start, end }) => total + end - start, 0);
  if (sum > size) throw new MultipleRangeError('the ranges sum to more than the content');
  return { kind: 'multiple', intervals };
}

function toInterval(spec: RangeSpec, size: number): Interval | undefined {
  if ('suffix' in spec) return spec.suffix === 0 ? undefined : { start: Math.max(0, size - spec.suffix), end: size };
  if (spec.first >= size) return undefined;
  if (!('last' in spec)) return { start: spec.first, end: size };
  return spec.last < spec.first ? undefined : { start: spec.first, end: Math.min(spec.last + 1, size) };
}

/** A `Content-Range` header: RFC 9110 §14.4. `total` is `undefined` for `*`. */
export interface ContentRange extends Interval {
  readonly total: number | undefined;
}

/** Reads the `Content-Range` of a 206; `undefined` when it is absent, malformed, or contradicts itself. */
export function parseContentRange(header: string | undefined): ContentRange | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(header ?? '');
  if (!match) return undefined;
  const [, first = '', last = '', size = ''] = match;
  const range = { start: Number(first), end: Number(last) + 1, total: size === '*' ? undefined : Number(size) };
  if (range.end <= range.start || (range.total !== undefined && range.end > range.total)) return undefined;
  return range;
}
