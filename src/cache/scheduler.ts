import type { Clock } from '../async/clock.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { Attempt } from './approach.ts';
import type { Claim } from './claims.ts';
import type { Flight } from './flight.ts';
import type { Share } from './reader.ts';
import { SpanWorker } from './span-worker.ts';
import { spanOf, urgency, type Want } from './wants.ts';

const kib = 1024;
const mib = 1024 * kib;
/** The first request for a blob is this small, so that first bytes never wait behind much. */
const firstSpan = 64 * kib;
/** But where this is all, one request is enough. */
const smallBlob = 256 * kib;
const smallestSpan = mib;
const largestSpan = 16 * mib;
/** A span is what a connection brings in about this time. */
const spanSeconds = 2;
/** Workers that are kept for first spans. */
const keptForFirst = 2;

/** What the scheduler reports. */
export interface SchedulerEvents {
  received(endpoint: string, bytes: number): void;
  /** A span failed and will be fetched again. */
  failed(flight: Flight, attempt: Attempt, claim: Claim, error: UpstreamError): void;
}

/** Decides which span an upstream is asked for next: a worker always takes the one that matters most now. */
export class Scheduler {
  readonly #connections: number;
  readonly #events: SchedulerEvents;
  readonly #worker: SpanWorker;
  readonly #flights = new Set<Flight>();
  /** Bytes per second that one connection brings, by endpoint. */
  readonly #rates = new Map<string, number>();
  #busy = 0;

  /** `connections` ≥ 1: spans that are fetched at a time. */
  constructor(connections: number, clock: Clock, events: SchedulerEvents) {
    this.#connections = connections;
    this.#events = events;
    this.#worker = new SpanWorker(clock, events.received);
  }

  /** From now on this flight's wants are served, until it ends. */
  enlist(flight: Flight): void {
    this.#flights.add(flight);
    flight.signal.addEventListener('abort', () => this.#flights.delete(flight), { once: true });
    this.pump();
  }

  /** Starts what can be started. To be called whenever something may have become wanted. */
  pump(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) this.#launch(next.flight, next.want);
  }

  #next(): { flight: Flight; want: Want } | undefined {
    const candidates: { flight: Flight; want: Want }[] = [];
    for (const flight of this.#flights) {
      const want = flight.want();
      if (want !== undefined && this.#busy < this.#capacityFor(want)) candidates.push({ flight, want });
    }
    const others = new Set(candidates.map(({ flight }) => flight)).size > 1;
    const half = Math.max(1, Math.floor(this.#connections / 2));
    const fair = candidates.filter(({ flight }) => !others || flight.spans < half);
    return fair.reduce<{ flight: Flight; want: Want } | undefined>(
      (best, each) => (best === undefined || compare(each.want, best.want) < 0 ? each : best),
      undefined,
    );
  }

  #capacityFor(want: Want): number {
    if (want.urgency === urgency.first) return this.#connections;
    return Math.max(1, this.#connections - keptForFirst);
  }

  #launch(flight: Flight, want: Want): void {
    const attempt = flight.approach.next();
    if (attempt === undefined) {
      this.#flights.delete(flight);
      return;
    }
    const claim = flight.claim(flight.ranged ? spanOf(want, this.#lengthOf(flight, want, attempt)) : want);
    this.#busy++;
    void this.#fetch(flight, attempt, want.share, claim).finally(() => {
      this.#busy--;
      flight.release(claim);
      this.pump();
    });
  }

  async #fetch(flight: Flight, attempt: Attempt, share: Share, claim: Claim): Promise<void> {
    // Charged before it is fetched, so that the next choice knows of it.
    const charged = Number.isFinite(claim.end) ? claim.end - claim.start : 0;
    share.bytes += charged;
    try {
      const { bytes, elapsed } = await this.#worker.run(flight, attempt, claim, () => this.pump());
      flight.approach.succeeded(attempt);
      if (bytes > firstSpan) this.#learnRate(attempt.endpoint, (bytes * 1000) / Math.max(1, elapsed));
    } catch (error) {
      this.#settleFailure(flight, attempt, claim, error);
    } finally {
      share.bytes += claim.position - claim.start - charged;
    }
  }

  #settleFailure(flight: Flight, attempt: Attempt, claim: Claim, error: unknown): void {
    if (flight.signal.aborted) return;
    if (!(error instanceof UpstreamError)) {
      void flight.end(error);
    } else if (error.status === 416 && claim.start === 0) {
      flight.refuseRanges();
    } else {
      this.#events.failed(flight, attempt, claim, error);
      flight.failed(attempt, error);
    }
  }

  #learnRate(endpoint: string, rate: number): void {
    this.#rates.set(endpoint, ((this.#rates.get(endpoint) ?? rate) + rate) / 2);
  }

  #lengthOf(flight: Flight, { start, end }: Want, { endpoint }: Attempt): number {
    if (flight.unanswered) return end - start <= smallBlob ? smallBlob : firstSpan;
    const length = (this.#rates.get(endpoint) ?? 0) * spanSeconds;
    return Math.min(largestSpan, Math.max(smallestSpan, length));
  }
}

/** Urgency first; then the pull that has been given least; then the lower layer. */
function compare(a: Want, b: Want): number {
  return a.urgency - b.urgency || a.share.bytes - b.share.bytes || a.layer - b.layer;
}
