import { type Clock, sleep } from '../async/clock.ts';
import { UpstreamError, type UpstreamFailure } from '../upstream/errors.ts';

/** Failures that may be over a moment later, or at the next machine that answers. */
const passing: ReadonlySet<UpstreamFailure> = new Set(['unreachable', 'timeout', 'reset', 'short', 'status']);
/** Milliseconds. */
const pause = 250;

/**
 * Asks, and where the upstream fails in a way that may pass, asks once more: clients of containers/image that have begun
 * a pull have no other place to turn to. A limit, a refusal and a wrong answer count at once.
 * @throws what `ask` throws; the signal's reason.
 */
export async function onceMore<T>(clock: Clock, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof UpstreamError) || !passing.has(error.kind)) throw error;
    await sleep(clock, pause, signal);
    return ask();
  }
}
