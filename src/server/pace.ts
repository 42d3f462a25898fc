import { abortable } from '../async/abortable.ts';
import type { Clock } from '../async/clock.ts';
import type { BlobReader } from '../cache/reader.ts';
import type { WatchdogSettings } from '../config/settings.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { PullStream } from '../pulls/pull-stream.ts';

/** The newest bytes of a response that are kept back while it is not whole: enough for hours. */
const reserve = 4096;
/** Never kept back: a node's first event needs as many. */
const firstBytes = 8;
/** A reserve of fewer bytes than this has to be spared. */
const scarce = 256;
/** More than this is never written at a time, so that further from the end no hold has to be thought of. */
const largestPiece = 1024 * 1024;
/** Part of the watchdog's time after which a scarce reserve gives one byte. */
const sparingShare = 0.4;

/** What the pace of one response is made of. */
export interface PaceParts {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly settings: Pick<WatchdogSettings, 'drip' | 'timeout'>;
  readonly stream: PullStream | undefined;
  rests(pace: Pace): void;
  goesOn(pace: Pace): void;
}

/**
 * How far one response may go. What is there goes out at once, but for a reserve while more is to come, or while the node
 * has much to unpack: of that, one byte goes out whenever the response has been silent for a drip. It works on positions
 * of the finished body, whatever that is made of.
 */
export class Pace {
  readonly #parts: PaceParts;
  /** Where the body begins. */
  #start: number | undefined;
  #position = 0;
  #ready = 0;
  #wroteAt: number;
  #allowance = 0;
  #heldSince: number | undefined;
  #wake: (() => void) | undefined;

  constructor(parts: PaceParts) {
    this.#parts = parts;
    this.#wroteAt = parts.clock.now();
  }

  /** Up to where bytes may be written now; `position` itself: none. `ready` of them are there, of `end` in all. */
  limit(position: number, ready: number, end: number | undefined): number {
    this.#start ??= position;
    this.#position = position;
    this.#ready = ready;
    const whole = end !== undefined && ready >= end;
    if (whole && (end - position > largestPiece || !this.#holds())) return end;
    const flowing = Math.max(Math.min(this.#start + firstBytes, ready), ready - reserve);
    return Math.max(position, flowing, Math.min(ready, position + this.#allowance));
  }

  /** Bytes have been written. */
  wrote(): void {
    this.#wroteAt = this.#parts.clock.now();
    this.#allowance = 0;
  }

  /**
   * Waits while nothing may be written: for bytes, for the next drip, or for the end of a hold.
   * @throws what made the blob fail; the signal's reason.
   */
  async rest(reader: BlobReader, signal: AbortSignal): Promise<void> {
    const { stream } = this.#parts;
    const { promise, resolve } = Promise.withResolvers<void>();
    const arrives = this.#heldSince === undefined;
    this.#wake = arrives ? () => reader.wake() : resolve;
    const unwatch = arrives ? undefined : stream?.pull.watch(resolve);
    this.#parts.rests(this);
    try {
      await (arrives ? reader.arrival(this.#ready, signal) : abortable(promise, signal));
    } finally {
      unwatch?.();
      this.#parts.goesOn(this);
      this.#wake = undefined;
    }
  }

  /** For the pacer: it rests at `now`; lets a byte go if one is due. */
  look(now: number): void {
    if (this.#heldSince !== undefined && !this.#isHeld(now)) this.#wake?.();
    if (this.#ready <= this.#position || now - this.#silentSince() < this.#interval()) return;
    this.#allowance = 1;
    this.#parts.metrics.drips.inc();
    this.#parts.stream?.drip();
    this.#wake?.();
  }

  /** It is over. */
  end(): void {
    if (this.#heldSince === undefined) return;
    this.#parts.metrics.holdSeconds.observe((this.#parts.clock.now() - this.#heldSince) / 1000);
    this.#heldSince = undefined;
    this.#parts.stream?.release();
  }

  get #isScarce(): boolean {
    return this.#ready - this.#position < scarce;
  }

  #interval(): number {
    const { drip, timeout } = this.#parts.settings;
    return this.#isScarce ? Math.max(drip, sparingShare * timeout) : drip;
  }

  /** A scarce reserve is not touched while any other stream of the pull flows. */
  #silentSince(): number {
    const flowedAt = this.#isScarce ? this.#parts.stream?.pull.flowedAt : undefined;
    return Math.max(this.#wroteAt, flowedAt ?? 0);
  }

  #isHeld(now: number): boolean {
    const until = this.#parts.stream?.holdUntil(now);
    return until !== undefined && until > now;
  }

  /** Whether the tail is held; notes the hold's beginning and end. */
  #holds(): boolean {
    const { clock, metrics, stream } = this.#parts;
    const now = clock.now();
    if (!this.#isHeld(now)) {
      this.end();
      return false;
    }
    if (this.#heldSince === undefined) {
      this.#heldSince = now;
      metrics.holds.inc();
      stream?.hold();
    }
    return true;
  }
}
