import type { Clock } from '../async/clock.ts';
import type { UpstreamSettings } from '../config/settings.ts';
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

/** Hedges take this part of the workers at most. */
const hedgeShare = 1 / 4;

/** A part of a blob that did not come as it should, and is asked for again. */
export interface Repair {
  readonly flight: Flight;
  readonly attempt: Attempt;
  /** The offset of the first byte that is missing. */
  readonly offset: number;
  readonly error: UpstreamError;
  /** `hedge`: by a second worker at once; `retry`: again; `give up`: there is no use in it. */
  readonly action: 'hedge' | 'retry' | 'give up';
}

/** What the scheduler reports. */
export interface SchedulerEvents {
  received(endpoint: string, bytes: number): void;
  repaired(repair: Repair): void;
}

/** What of an upstream concerns the scheduler: settings, as they are in force. */
export interface SchedulerUpstream {
  readonly settings: Pick<UpstreamSettings, 'connections' | 'stallTimeout'>;
}

/** Decides which span an upstream is asked for next: a worker always takes the one that matters most now. */
export class Scheduler {
  readonly #upstream: SchedulerUpstream;
  readonly #events: SchedulerEvents;
  readonly #worker: SpanWorker;
  readonly #flights = new Set<Flight>();
  /** Bytes per second that one connection brings, by endpoint. */
  readonly #rates = new Map<string, number>();
  readonly #running = new Set<Claim>();

  constructor(upstream: SchedulerUpstream, clock: Clock, events: SchedulerEvents) {
    this.#upstream = upstream;
    this.#events = events;
    this.#worker = new SpanWorker(clock, () => upstream.settings.stallTimeout);
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

  /** Workers in use. Of those that have stalled, some do not count: hedges take their place. */
  get #busy(): number {
    const stalled = [...this.#running].filter((claim) => claim.stalled).length;
    return this.#running.size - Math.min(stalled, Math.ceil(this.#upstream.settings.connections * hedgeShare));
  }

  #next(): { flight: Flight; want: Want } | undefined {
    const busy = this.#busy;
    // Whatever is wanted has to wait: it is not worth finding out.
    if (busy >= this.#upstream.settings.connections) return undefined;
    const candidates: { flight: Flight; want: Want }[] = [];
    for (const flight of this.#flights) {
      const want = flight.want();
      if (want !== undefined && busy < this.#capacityFor(want)) candidates.push({ flight, want });
    }
    const others = candidates.filter(({ want }) => want.urgency < urgency.unread).length > 1;
    const half = Math.max(1, Math.floor(this.#upstream.settings.connections / 2));
    const fair = candidates.filter(({ flight }) => !others || flight.spans < half);
    return fair.reduce<{ flight: Flight; want: Want } | undefined>(
      (best, each) => (best === undefined || compare(each.want, best.want) < 0 ? each : best),
      undefined,
    );
  }

  #capacityFor(want: Want): number {
    if (want.urgency === urgency.first) return this.#upstream.settings.connections;
    return Math.max(1, this.#upstream.settings.connections - keptForFirst);
  }

  #launch(flight: Flight, want: Want): void {
    const attempt = flight.approach.next();
    if (attempt === undefined) {
      this.#flights.delete(flight);
      return;
    }
    const claim = flight.claim(flight.ranged ? spanOf(want, this.#lengthOf(flight, want, attempt)) : want);
    this.#running.add(claim);
    flight.deliveries.asked(attempt.endpoint);
    void this.#fetch(flight, attempt, want.share, claim).finally(() => {
      this.#running.delete(claim);
      flight.release(claim);
      this.pump();
    });
  }

  async #fetch(flight: Flight, attempt: Attempt, share: Share, claim: Claim): Promise<void> {
    // Charged before it is fetched, so that the next choice knows of it.
    const charged = Number.isFinite(claim.end) ? claim.end - claim.start : 0;
    share.bytes += charged;
    try {
      const { bytes, elapsed } = await this.#worker.run(flight, attempt, claim, {
        answered: () => this.pump(),
        received: (count) => {
          flight.deliveries.received(attempt.endpoint, count);
          this.#events.received(attempt.endpoint, count);
        },
        advanced: () => flight.approach.succeeded(attempt),
        stalled: () => this.#stall(flight, attempt, claim),
      });
      if (bytes > firstSpan) this.#learnRate(attempt.endpoint, (bytes * 1000) / Math.max(1, elapsed));
    } catch (error) {
      this.#settleFailure(flight, attempt, claim, error);
    } finally {
      share.bytes += claim.position - claim.start - charged;
    }
  }

  #stall(flight: Flight, attempt: Attempt, claim: Claim): void {
    if (flight.signal.aborted || claim.signal.aborted) return;
    const { endpoint, source } = attempt;
    const error = new UpstreamError(source.upstream, 'timeout', 'nothing comes', { endpoint });
    const goesOn = flight.stalled(attempt, claim, error);
    this.#report(flight, attempt, claim, error, goesOn ? 'hedge' : 'give up');
    this.pump();
  }

  #settleFailure(flight: Flight, attempt: Attempt, claim: Claim, error: unknown): void {
    if (flight.signal.aborted || claim.signal.aborted) return;
    if (!(error instanceof UpstreamError)) {
      void flight.end(error);
    } else if (error.status === 416 && flight.ranged && claim.start === 0) {
      flight.refuseRanges();
    } else {
      const goesOn = flight.failed(attempt, error);
      this.#report(flight, attempt, claim, error, goesOn ? 'retry' : 'give up');
    }
  }

  #report(flight: Flight, attempt: Attempt, claim: Claim, error: UpstreamError, action: Repair['action']): void {
    this.#events.repaired({ flight, attempt, offset: claim.position, error, action });
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
