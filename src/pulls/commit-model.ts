// All times are monotonic milliseconds.

/** One layer of a pull, as far as unpacking is concerned. */
export interface ModelledLayer {
  /** Compressed bytes, ≥ 0. */
  readonly size: number;
  /** When the node asked for it, last; `undefined`: it has not (yet). */
  readonly requestedAt: number | undefined;
  /** When the node had taken its last byte. */
  readonly deliveredAt: number | undefined;
  /** The node has left it unfinished, and has not asked for it again. */
  readonly aborted: boolean;
}

/** What the model assumes of a node. */
export interface CommitSettings {
  /** Milliseconds without progress after which the node cancels, > 0. */
  readonly timeout: number;
  /** Compressed bytes that it unpacks per second, > 0. */
  readonly commitRate: number;
  /** Milliseconds that a layer is held at most, once everything below it is delivered, ≥ 0. */
  readonly maxHold: number;
}

/** The layer whose last bytes are to be held. */
export interface Hold {
  /** Its index in the pull. */
  readonly layer: number;
  /** When to ask again, if nothing happens before; infinite while something has to. */
  readonly until: number;
}

/** Blobs that a node downloads at a time: containers/image, copy/copy.go. */
export const downloadSlots = 6;

/**
 * Part of the timeout within which requests of the same moment have all arrived. They may overtake each other: the last
 * layer on a connection that is there, a lower one on a connection that is only being made.
 */
const overtaking = 1 / 10;

/**
 * What to hold of a pull now, so that its last bytes reach the node when little is left to be unpacked. A node unpacks
 * in the order of the layers, one at a time, each when it has all of it, and nothing of that counts as progress:
 * `end[i] = max(delivered[i], end[i-1]) + size[i] / commitRate`.
 *
 * Held is the highest layer that was asked for, while more than half the timeout of work is left with its own, but no
 * longer than until its own is all that is left. It is let go when all download slots are in use, since a higher one may
 * be next (a node with a free slot would have asked for it at once), and when the node has given up any of them. As time
 * passes and nothing happens, what was let go is never held again.
 *
 * `layers` are all that the manifest names, in its order: without the config, which is not unpacked.
 */
export function holdOf(layers: readonly ModelledLayer[], settings: CommitSettings, now: number): Hold | undefined {
  const layer = layers.findLastIndex(({ size, requestedAt }) => size > 0 && requestedAt !== undefined);
  const held = layers[layer];
  if (held?.requestedAt === undefined || !isOpen(held) || layers.some(({ aborted }) => aborted)) return undefined;
  const mayAskHigher = layers.slice(layer + 1).some(({ size }) => size > 0);
  if (mayAskHigher && layers.filter(isOpen).length >= downloadSlots) return undefined;
  const decidedAt = held.requestedAt + settings.timeout * overtaking;
  const below = layers
    .slice(0, layer)
    .filter(({ size, requestedAt }) => size > 0 && (requestedAt !== undefined || now < decidedAt));
  const until = releaseAt(below, held, settings);
  if (now >= until) return undefined;
  const allAsked = below.every(({ requestedAt }) => requestedAt !== undefined);
  return { layer, until: allAsked ? until : Math.min(until, decidedAt) };
}

/** When everything that was delivered is unpacked; minus infinity where nothing was. */
export function unpackedAt(layers: readonly ModelledLayer[], { commitRate }: CommitSettings): number {
  return workOf(
    layers.filter(({ deliveredAt }) => deliveredAt !== undefined),
    commitRate,
  ).end;
}

/** When the work that is left is little enough; infinite while layers below are missing whose work alone is too much. */
function releaseAt(
  below: readonly ModelledLayer[],
  held: ModelledLayer,
  { timeout, commitRate, maxHold }: CommitSettings,
): number {
  // What may be left: with the held layer's own work half the timeout, or nothing else where that is more.
  const allowed = Math.max(0, timeout / 2 - unpacking(held, commitRate));
  const { end, fromNow } = workOf(below, commitRate);
  if (fromNow > allowed) return Number.POSITIVE_INFINITY;
  const lastDelivery = Math.max(...below.map(({ deliveredAt }) => deliveredAt ?? Number.POSITIVE_INFINITY));
  return Math.min(end - allowed, lastDelivery + maxHold);
}

/** The end of all this work: as far as it is fixed already, and counted from now on where something is missing. */
function workOf(layers: readonly ModelledLayer[], commitRate: number): { end: number; fromNow: number } {
  let end = Number.NEGATIVE_INFINITY;
  let fromNow = Number.NEGATIVE_INFINITY;
  for (const layer of layers) {
    if (layer.deliveredAt === undefined) fromNow = Math.max(0, fromNow);
    else end = Math.max(end, layer.deliveredAt);
    end += unpacking(layer, commitRate);
    fromNow += unpacking(layer, commitRate);
  }
  return { end, fromNow };
}

function unpacking({ size }: ModelledLayer, commitRate: number): number {
  return (size / commitRate) * 1000;
}

function isOpen({ requestedAt, deliveredAt, aborted }: ModelledLayer): boolean {
  return requestedAt !== undefined && deliveredAt === undefined && !aborted;
}
