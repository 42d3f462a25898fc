import type { Clock } from '../async/clock.ts';
import type { Share } from '../cache/reader.ts';
import type { Layer, StreamEnd } from './layer.ts';
import type { Silence } from './silence.ts';

/** What of a pull concerns the pace of its streams. */
export interface Pacing {
  /** What all its readers share, where the upstream is the bottleneck. */
  readonly share: Share;
  /** The layers above the highest one that was asked for, in order: those that a registry has. */
  readonly ahead: readonly IndexedLayer[];
  /** Whether the client could have asked for one more layer by now. */
  readonly hasFreeSlot: boolean;
  /** When bytes last flowed on any of its streams: monotonic ms. */
  readonly flowedAt: number | undefined;
  /** Bytes that were sent only to break a silence, so far. */
  drips: number;
  /** Tails that were held, so far. */
  holds: number;
  /** Until when the tail of this layer is to be held (monotonic ms); `undefined`: it is not. */
  holdUntil(layer: number, now: number): number | undefined;
  /** Calls `listener` whenever what is to be held may have changed, until what is returned is called. */
  watch(listener: () => void): () => void;
}

/** A layer and its place in its pull. */
export interface IndexedLayer {
  readonly layer: Layer;
  readonly index: number;
}

/** What a stream is made of. */
export interface StreamParts {
  readonly clock: Clock;
  readonly silence: Silence;
  readonly ended: () => void;
}

/** One response of a pull, from the request to its end. */
export class PullStream {
  readonly pull: Pacing;
  /** The index of the layer; −1 for what is no layer, which comes before all layers. */
  readonly layer: number;
  readonly #layer: Layer | undefined;
  readonly #parts: StreamParts;
  #able = true;
  /** Only single bytes go out. */
  #drips = false;
  #over = false;

  /** Made by `Pull.request`. */
  constructor(pull: Pacing, indexed: IndexedLayer | undefined, parts: StreamParts) {
    this.pull = pull;
    this.layer = indexed?.index ?? -1;
    this.#layer = indexed?.layer;
    this.#parts = parts;
    parts.silence.enter();
  }

  /** Bytes are handed to the client's connection. */
  sent(bytes: number): void {
    const { silence } = this.#parts;
    if (bytes > 1) this.#drips = false;
    this.#breakSilence();
    if (this.#able) silence.leave();
    this.#able = false;
    this.#layer?.advance(this, bytes);
  }

  /** The connection has taken all that was sent, and can take more. */
  taken(): void {
    const { silence } = this.#parts;
    this.#breakSilence();
    if (!this.#able && !this.#over) silence.enter();
    this.#able = true;
  }

  /** What goes out next is a single byte, to break the silence. */
  drip(): void {
    this.#drips = true;
    this.pull.drips++;
    this.#layer?.drip(this);
  }

  /** Its tail is held from now on. */
  hold(): void {
    this.pull.holds++;
    this.#layer?.hold(this, this.#parts.clock.now());
  }

  /** Its tail is held no longer. */
  release(): void {
    this.#layer?.release(this);
  }

  /** The response is over. `delivered`: the client's connection has taken the last byte of the blob. */
  end(how: StreamEnd): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#able) this.#parts.silence.leave();
    this.#layer?.end(this, how, this.#parts.clock.now());
    this.#parts.ended();
  }

  /** Until when the last bytes of this response are to be held (monotonic ms); `undefined`: they are not. */
  holdUntil(now: number): number | undefined {
    return this.#layer?.isSentBy(this) === true ? this.pull.holdUntil(this.layer, now) : undefined;
  }

  #breakSilence(): void {
    if (this.#drips) this.#parts.silence.dripped();
    else this.#parts.silence.broken();
  }
}
