import type { Interval } from '../http/range.ts';
import type { Claims } from './claims.ts';
import type { InflightReader, Share } from './reader.ts';

/** How urgent a span is: lower comes first. */
export const urgency = {
  /** A client waits for it with nothing sent yet. */
  first: 1,
  /** A client waits for it. */
  waiting: 2,
  /** A client will come to it. */
  ahead: 4,
  /** Nobody has asked for it. */
  unread: 5,
} as const;

/** Bytes that should be fetched. */
export interface Want {
  readonly urgency: number;
  /** From here on. */
  readonly start: number;
  /** No further than here; infinite where the size is not known. */
  readonly end: number;
  readonly share: Share;
  /** The place of the blob in its pull. */
  readonly layer: number;
}

const alignment = 64 * 1024;

/** What one reader needs most of what nobody is fetching. */
export function wantOf(reader: InflightReader, claims: Claims, size: number | undefined): Want | undefined {
  const { position, demand } = reader;
  const last = size ?? Number.POSITIVE_INFINITY;
  const gap = claims.gap({ start: position, end: reader.end ?? last });
  if (gap === undefined) return undefined;
  const blocked = reader.waiting && gap.start <= position;
  return {
    urgency: blocked ? (reader.started ? urgency.waiting : urgency.first) : urgency.ahead,
    start: Math.max(alignDown(gap.start), claims.startOfGap(gap.start)),
    end: demand.end === undefined ? gap.end : Math.min(last, alignUp(gap.end)),
    share: demand.share,
    layer: demand.layer,
  };
}

/** Which of two wants of the same blob comes first. */
export function compareWants(a: Want, b: Want): number {
  return a.urgency - b.urgency || a.start - b.start;
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
