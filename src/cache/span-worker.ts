import type { Clock } from '../async/clock.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { Attempt } from './approach.ts';
import type { Claim } from './claims.ts';
import type { Flight } from './flight.ts';
import { WriteBehind } from './write-behind.ts';

/** What came of a span. */
export interface SpanOutcome {
  readonly bytes: number;
  /** Milliseconds from the first byte to the last. */
  readonly elapsed: number;
}

/** Fetches one span of a flight from one endpoint. Bytes that came before a failure are kept. */
export class SpanWorker {
  readonly #clock: Clock;
  readonly #received: (endpoint: string, bytes: number) => void;

  /** `received` counts bytes as they come. */
  constructor(clock: Clock, received: (endpoint: string, bytes: number) => void) {
    this.#clock = clock;
    this.#received = received;
  }

  /**
   * @param answered called once the upstream has begun to answer, and the answer fits.
   * @throws UpstreamError, StorageError, or the flight's end.
   */
  async run(flight: Flight, attempt: Attempt, claim: Claim, answered: () => void): Promise<SpanOutcome> {
    const part = await attempt.source.open(attempt.endpoint, flight.ranged ? claim : undefined, flight.signal);
    const behind = new WriteBehind(part.start, async (start, buffers) => {
      await flight.deliver(claim, start, buffers);
      for (const buffer of buffers) part.release(buffer);
    });
    const began = this.#clock.now();
    let bytes = 0;
    try {
      flight.accept(part, attempt);
      answered();
      for await (const chunk of part.bytes) {
        bytes += chunk.length;
        this.#received(attempt.endpoint, chunk.length);
        if (flight.blob.size !== undefined && part.start + bytes > flight.blob.size) throw tooLong(attempt);
        await behind.push(chunk);
      }
    } finally {
      await part.close();
      await behind.flush();
    }
    if (part.end === undefined) flight.endOfStream(part.start + bytes);
    return { bytes, elapsed: this.#clock.now() - began };
  }
}

function tooLong({ endpoint, source }: Attempt): UpstreamError {
  return new UpstreamError(source.upstream, 'invalid', 'it sent more than the blob has', { endpoint });
}
