import type { Interval } from '../http/range.ts';
import type { Claims } from './claims.ts';
import type { InflightReader, Share, Turn } from './reader.ts';
import type { IntervalSet } from './spans.ts';

/** How urgent a span is: lower comes first. */
export const urgency = {
  /** A client waits for it with nothing sent yet. */
  first: 1,
  /** A client will come to it as soon as it is there. */
  waiting: 2,
  /** A client will probably ask for it soon, and begins with it. */
  soon: 3,
  /** A client will come to it, and has enough to do until then. */
  ahead: 4,
  /** Nobody has asked for it. */
  unread: 5,
} as const;

/** Bytes that should be fetched. */
export interface Want extends Turn {
  readonly urgency: number;
  /** From here on. */
  readonly start: number;
  /** No further than here; infinite where the size is not known. */
  readonly end: number;
  /** So many bytes lie between it and who reads. */
  readonly ahead: number;
}

/** So much of what is expected comes soon. */
const expectedSoon = 64 * 1024;

const alignment = 64 * 1024;
/** What lies between two ranges is fetched with them up to this: another request would cost as much. */
const smallGap = 2 * alignment;

/** What one reader needs most of what nobody is fetching. */
export function wantOf(reader: InflightReader, claims: Claims, size: number | undefined): Want | undefined {
  const { position, demand, unread } = reader;
  const last = size ?? Number.POSITIVE_INFINITY;
  const gap = firstGap(unread, claims, position, last);
  if (gap === undefined) return undefined;
  const blocked = reader.waiting && gap.start === position;
  const first = blocked && !reader.started;
  return {
    urgency: first ? urgency.first : reader.keepsUp ? urgency.waiting : urgency.ahead,
    ahead: gap.start - position,
    start: Math.max(alignDown(gap.start), claims.startOfGap(gap.start)),
    end: demand.whole ? gap.end : endOfRanges(unread, claims, gap, last),
    share: demand.share,
    layer: demand.layer,
  };
}

/** What is to be fetched of a gap that no reader has asked for: soon where it begins a blob that is expected. */
export function wantOfUnread(gap: Interval, expected: Turn | undefined, share: Share): Want {
  const { start, end } = gap;
  const want = { urgency: urgency.unread, start, end, ahead: start };
  if (expected === undefined) return { ...want, share, layer: 0 };
  if (start >= expectedSoon) return { ...want, ...expected };
  return { ...want, ...expected, urgency: urgency.soon, end: Math.min(end, expectedSoon) };
}

/** What is to be fetched of a gap for the sake of a reader that does not come to it. */
export function wantFor({ start, end }: Interval, { demand, started }: InflightReader, isWaitedFor: boolean): Want {
  const { share, layer } = demand;
  const level = started ? urgency.waiting : urgency.first;
  return { urgency: isWaitedFor ? level : urgency.unread, ahead: 0, start, end, share, layer };
}

/** The first bytes from `position` on that are unread and that nobody is fetching. */
function firstGap(unread: IntervalSet, claims: Claims, position: number, last: number): Interval | undefined {
  for (let run = unread.next(position); run !== undefined && run.start < last; run = unread.next(run.end)) {
    const gap = claims.gap({ start: run.start, end: Math.min(run.end, last) });
    if (gap !== undefined) return gap;
  }
  return undefined;
}

/** Where a request for this gap ends: ranges that stand close by are fetched with it. */
function endOfRanges(unread: IntervalSet, claims: Claims, gap: Interval, last: number): number {
  const free = claims.gap({ start: gap.start, end: last })?.end ?? last;
  let end = alignUp(gap.end);
  for (let run = unread.next(gap.end); run !== undefined && run.start <= end + smallGap; run = unread.next(run.end)) {
    if (run.start >= free) break;
    end = alignUp(run.end);
  }
  return Math.min(end, free);
}

/** Which of two wants of the same blob comes first: of equal ones, what is nearer to who reads. */
export function compareWants(a: Want, b: Want): number {
  return a.urgency - b.urgency || a.ahead - b.ahead;
}

/** Cuts a want to a span of about `length` bytes that ends on a multiple of 64 KiB. */
export function spanOf({ start, end }: Want, length: number): Interval {
  return { start, end: Math.min(end, alignUp(start + length)) };
}

function alignDown(offset: number): number {
  return offset - (offset % alignment);
}

function alignUp(offset: number): number {
  return Number.isFinite(offset) ? alignDown(offset + alignment - 1) : offset;
}
