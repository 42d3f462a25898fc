import { byteLength } from '../async/byte-length.ts';
import type { Clock } from '../async/clock.ts';
import { Watchdog } from '../async/watchdog.ts';
import type { BlobPart } from '../upstream/blob-source.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { Attempt } from './approach.ts';
import type { Claim } from './claims.ts';
import type { Flight } from './flight.ts';

/** What came of a span. */
export interface SpanOutcome {
  readonly bytes: number;
  /** Milliseconds from the first byte to the last. */
  readonly elapsed: number;
}

/** What a worker tells while it fetches. */
export interface SpanEvents {
  /** The upstream has begun to answer, and the answer fits. */
  answered(): void;
  /** Bytes have come. */
  received(bytes: number): void;
  /** Among them were some that nobody had. */
  advanced(): void;
  /** Nothing has come for too long; it goes on waiting. */
  stalled(): void;
}

/** Fetches one span of a flight from one endpoint. Bytes that came before a failure are kept. */
export class SpanWorker {
  readonly #clock: Clock;
  readonly #stallTimeout: () => number;

  /** `stallTimeout`: milliseconds without a byte, or without an answer, that are too long. */
  constructor(clock: Clock, stallTimeout: () => number) {
    this.#clock = clock;
    this.#stallTimeout = stallTimeout;
  }

  /** @throws UpstreamError, StorageError, the flight's end, or the reason for which the claim was lost. */
  async run(flight: Flight, attempt: Attempt, claim: Claim, events: SpanEvents): Promise<SpanOutcome> {
    const watchdog = new Watchdog(this.#clock, events.stalled);
    watchdog.wait(this.#stallTimeout());
    try {
      const signal = AbortSignal.any([flight.signal, claim.signal]);
      const part = await attempt.source.open(attempt.endpoint, flight.ranged ? claim : undefined, signal);
      watchdog.wait(this.#stallTimeout());
      return await this.#receive(flight, attempt, claim, { part, watchdog, events });
    } finally {
      watchdog.stop();
    }
  }

  async #receive(
    flight: Flight,
    attempt: Attempt,
    claim: Claim,
    { part, watchdog, events }: { part: BlobPart; watchdog: Watchdog; events: SpanEvents },
  ): Promise<SpanOutcome> {
    const began = this.#clock.now();
    let bytes = 0;
    try {
      flight.accept(part, attempt);
      events.answered();
      for await (const chunks of part.bytes) {
        // What is waited for now is the disk, or a reader: no silence of the upstream.
        watchdog.pause();
        const start = part.start + bytes;
        const count = byteLength(chunks);
        bytes += count;
        events.received(count);
        if (flight.blob.size !== undefined && start + count > flight.blob.size) throw tooLong(attempt);
        if (flight.blob.held.endOfRun(part.start) < start + count) events.advanced();
        await flight.deliver(claim, start, chunks);
        part.release(chunks);
        watchdog.wait(this.#stallTimeout());
      }
    } finally {
      await part.close();
    }
    if (part.end === undefined) {
      const end = part.start + bytes;
      // Only a body without a length can end in good order, and short.
      if (flight.blob.size !== undefined && end < flight.blob.size) throw tooShort(attempt);
      flight.endOfStream(end);
    }
    return { bytes, elapsed: this.#clock.now() - began };
  }
}

function tooLong({ endpoint, source }: Attempt): UpstreamError {
  return new UpstreamError(source.upstream, 'invalid', 'it sent more than the blob has', { endpoint });
}

function tooShort({ endpoint, source }: Attempt): UpstreamError {
  return new UpstreamError(source.upstream, 'reset', 'it ended before the blob did', { endpoint });
}
