import type { UpstreamError, UpstreamFailure } from '../upstream/errors.ts';
import type { Repair } from './scheduler.ts';

/** Why a part of a blob is asked for again: silence, a broken connection, an end before the end, or a wrong answer. */
export type RepairReason = 'stall' | 'reset' | 'short' | 'status';

const reasons: Readonly<Record<UpstreamFailure, RepairReason>> = {
  timeout: 'stall',
  reset: 'reset',
  offline: 'status',
  unreachable: 'reset',
  short: 'short',
  status: 'status',
  limited: 'status',
  login: 'status',
  denied: 'status',
  absent: 'status',
  invalid: 'status',
  forbidden: 'status',
};

/** The reason of a repair, as it is counted. */
export function reasonOf({ kind }: UpstreamError): RepairReason {
  return reasons[kind];
}

/** What a log line says of a repair: what was wrong, where, and what is done. */
export function describeRepair({ flight, attempt, offset, error, action }: Repair): Readonly<Record<string, unknown>> {
  const { registry, digest } = flight;
  const { endpoint } = attempt;
  const what = { upstream: registry.name, endpoint, digest, offset, error: error.message };
  return { ...what, reason: reasonOf(error), action };
}
