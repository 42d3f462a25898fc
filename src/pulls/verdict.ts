import type { CommitSettings } from './commit-model.ts';

/** What becomes of the first pull of an image by a node that can time out, served as fast as it can take it. */
export interface Verdict {
  /**
   * `safe`: it unpacks within the timeout. `saved`: only because last bytes are held. `lost`: the watchdog cancels it
   * after the last byte; the node goes on unpacking, so the next pull finds every layer there and takes no time.
   */
  readonly outcome: 'safe' | 'saved' | 'lost';
  /** The index of the last layer, during which nothing can be sent any more; `undefined`: there is nothing to unpack. */
  readonly last: number | undefined;
  /** Milliseconds that the node unpacks: the last layer alone, and all of them. */
  readonly alone: number;
  readonly total: number;
  /** Milliseconds that the last bytes are held. */
  readonly held: number;
  /** Compressed bytes per second that a node must unpack for its first pull not to be lost. */
  readonly rateNeeded: number;
}

/** Bytes of a layer that are never held: a node takes notice of a layer from then on. */
const neverHeld = 8;
/** Part of the timeout that passes between the bytes of a tail that has to last. */
const slowestDrip = 0.4;

/**
 * Judges an image by the sizes of its layers, in the order of its manifest. The guard can bridge the unpacking of what
 * is below the last layer, as long as `maxHold` allows and as the last layer has bytes to drip; never that of the last.
 */
export function judgeImage(sizes: readonly number[], settings: CommitSettings): Verdict {
  const { timeout, commitRate, maxHold } = settings;
  const last = sizes.findLastIndex((size) => size > 0);
  const size = sizes[last] ?? 0;
  const all = sizes.reduce((sum, each) => sum + each, 0);
  const bridge = Math.min(maxHold, Math.max(0, size - neverHeld) * slowestDrip * timeout);
  // With what is bridged and then the timeout, there is time for all; and with the timeout alone, for the last one.
  const rateNeeded = Math.max((all * 1000) / (timeout + bridge), (size * 1000) / timeout);
  const total = (all / commitRate) * 1000;
  const alone = (size / commitRate) * 1000;
  const due = total - alone - Math.max(0, timeout / 2 - alone);
  const held = Math.min(bridge, Math.max(0, due));
  const outcome = total <= timeout ? 'safe' : commitRate >= rateNeeded ? 'saved' : 'lost';
  return { outcome, last: last < 0 ? undefined : last, alone, total, held, rateNeeded };
}
