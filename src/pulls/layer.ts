import type { Descriptor } from '../oci/manifest.ts';
import type { ModelledLayer } from './commit-model.ts';

/** Where a layer of a pull stands. `not requested`: as far as is known, because the client has it. */
export type LayerState = 'not requested' | 'requested' | 'sending' | 'delivered' | 'aborted' | 'failed';

/** How a stream ended. `withdrawn`: it was no download after all. */
export type StreamEnd = 'delivered' | 'aborted' | 'failed' | 'withdrawn';

/**
 * Why nothing but single bytes goes out: more has to come from `upstream`, or the guard holds the tail because of what
 * the node is `unpacking`.
 */
export type LayerWait = 'upstream' | 'unpacking';

/** What part of a blob is asked for: from an offset to its end, or less than that (`undefined`). */
export type Offset = number | undefined;

/** One layer of one pull, and how much of it the client has. Times are monotonic milliseconds. */
export class Layer implements ModelledLayer {
  readonly descriptor: Descriptor;
  requestedAt: number | undefined;
  deliveredAt: number | undefined;
  /** Bytes up to which it has been sent. */
  sent = 0;
  /** The client reads parts of it: nothing is known of the whole. */
  parted = false;
  /** Bytes that were sent only to break a silence. */
  drips = 0;
  /** When its tail was held first. */
  heldAt: number | undefined;
  waitsFor: LayerWait | undefined;
  #ended: 'aborted' | 'failed' | undefined;
  /** The stream that sends it now: one that was replaced has nothing to say any more. */
  #stream: object | undefined;
  /** All that have begun to send it to its end. */
  readonly #streams = new WeakSet<object>();

  readonly #inParts: boolean;

  /** `inParts`: whether its client takes layers in parts, several at a time, and asks for each to the end of the layer. */
  constructor(descriptor: Descriptor, inParts: boolean) {
    this.descriptor = descriptor;
    this.#inParts = inParts;
  }

  get size(): number {
    return this.descriptor.size;
  }

  get aborted(): boolean {
    return this.#ended !== undefined;
  }

  get state(): LayerState {
    if (this.deliveredAt !== undefined) return 'delivered';
    if (this.#ended !== undefined) return this.#ended;
    if (this.requestedAt === undefined) return this.parted ? 'requested' : 'not requested';
    return this.sent > 0 ? 'sending' : 'requested';
  }

  /**
   * How well a request fits what has been asked for so far: 0 is best, and `undefined` means that it comes from another
   * pull, since no client asks twice for what it has.
   */
  fit(from: Offset): number | undefined {
    if (from === undefined) return 0;
    return from === 0 ? this.#fitOfAll() : this.#fitOfRest(from);
  }

  /** A stream begins to send it from this offset on. */
  begin(stream: object, from: Offset, now: number): void {
    if (from === undefined) {
      this.parted = true;
      return;
    }
    this.#stream = stream;
    this.#streams.add(stream);
    this.#ended = undefined;
    this.waitsFor = undefined;
    this.requestedAt = now;
    this.deliveredAt = undefined;
    this.sent = from;
  }

  /** Whether this stream sends the whole of it, or its end. */
  isSentBy(stream: object): boolean {
    return this.#stream === stream;
  }

  /** The stream has sent bytes. */
  advance(stream: object, bytes: number): void {
    if (this.#stream !== stream) return;
    this.sent += bytes;
    if (bytes > 1 && this.waitsFor === 'upstream') this.waitsFor = undefined;
  }

  /** The stream lets a byte go, to break a silence. */
  drip(stream: object): void {
    if (this.#stream !== stream) return;
    this.drips++;
    this.waitsFor ??= 'upstream';
  }

  /** The stream holds the tail. */
  hold(stream: object, now: number): void {
    if (this.#stream !== stream) return;
    this.heldAt ??= now;
    this.waitsFor = 'unpacking';
  }

  /** The stream holds it no longer. */
  release(stream: object): void {
    if (this.#stream === stream) this.waitsFor = undefined;
  }

  /** The stream is over. */
  end(stream: object, how: StreamEnd, now: number): void {
    // Of a layer that is taken in parts, the last one may have been asked for before another.
    const counts = this.#inParts ? this.#streams.has(stream) : this.#stream === stream;
    if (how === 'delivered' && counts) {
      this.deliveredAt = now;
      this.#ended = undefined;
    }
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.waitsFor = undefined;
    if (how === 'withdrawn') this.requestedAt = undefined;
    else if (how !== 'delivered' && this.deliveredAt === undefined) this.#ended = how;
  }

  #fitOfAll(): number | undefined {
    return this.requestedAt === undefined || this.aborted ? 0 : undefined;
  }

  #fitOfRest(from: number): number | undefined {
    if (this.sent >= from) return this.deliveredAt === undefined ? 0 : 1;
    if (this.deliveredAt !== undefined) return undefined;
    if (this.requestedAt === undefined) return this.parted ? 0 : 2;
    return this.#inParts || this.aborted ? 1 : undefined;
  }
}
