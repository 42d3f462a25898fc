import type { TagRecord } from '../catalog/catalog.ts';

/** For how long what is known of a tag counts. Milliseconds. */
export interface FreshnessRules {
  readonly tagTtl: number;
  readonly negativeTtl: number;
  readonly staleIfError: number;
}

/** What may be done with what is known of a tag. */
export interface Freshness {
  /** It counts without asking the upstream. */
  readonly fresh: boolean;
  /** It counts when the upstream cannot be asked. */
  readonly usable: boolean;
}

/** Judges what is known of a tag at `wall` (epoch ms). A record from the future, after a step of the clock, is not fresh. */
export function judge(record: TagRecord | undefined, wall: number, rules: FreshnessRules): Freshness {
  if (record === undefined) return { fresh: false, usable: false };
  const age = wall - record.checkedAt;
  const ttl = record.digest === undefined ? rules.negativeTtl : rules.tagTtl;
  return { fresh: age >= 0 && age < ttl, usable: age < rules.staleIfError };
}
