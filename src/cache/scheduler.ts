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
const smallestSpan = 256 * kib;
const unknownRate = mib / 2;
const largestSpan = 16 * mib;
/** A span is what a connection brings in about this time. */
const spanSeconds = 2;
/** A blob that comes at so many bytes per second needs no further connection, which would only be work for both sides; */
const fastRate = 256 * mib;
/** nor does a connection that brings so many need to be asked again soon. */
const largestFastSpan = 64 * mib;
/** After so many milliseconds it is seen how fast a span comes; until then, it is taken for as fast as others were. */
const seenAfter = 250;
/** Workers that are kept for first spans, and for pulls that have none at work. */
const keptForFirst = 2;

/** Of all workers, this part may be fetching at a time what others have stalled with. */
const hedgeShare = 1 / 4;
/** Workers that have stalled hold up nobody, but are no more than so many times `connections`, with all others. */
const mostWorkers = 2;

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

/** A span that is being fetched: of which flight, for whom, from where, and since when. */
interface Running {
  readonly flight: Flight;
  readonly share: Share;
  readonly endpoint: string;
  readonly began: number;
}

/** What of an upstream concerns the scheduler: settings, as they are in force. */
export interface SchedulerUpstream {
  readonly settings: Pick<UpstreamSettings, 'connections' | 'stallTimeout'>;
}

/**
 * Decides which span an upstream is asked for next: a worker always takes the one that matters most now. Of n pulls that
 * take bytes as they come, each has 1/n of the workers. One that begins is given a worker at once, and its part of them
 * as soon as the spans are there that were under way: a connection's two seconds.
 */
export class Scheduler {
  readonly #upstream: SchedulerUpstream;
  readonly #clock: Clock;
  readonly #events: SchedulerEvents;
  readonly #worker: SpanWorker;
  readonly #flights = new Set<Flight>();
  /** Bytes per second that one connection brings, by endpoint. */
  readonly #rates = new Map<string, number>();
  /** What is being fetched. */
  readonly #running = new Map<Claim, Running>();
  #served = 0;

  constructor(upstream: SchedulerUpstream, clock: Clock, events: SchedulerEvents) {
    this.#upstream = upstream;
    this.#clock = clock;
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

  get #connections(): number {
    return this.#upstream.settings.connections;
  }

  /** Workers that have not stalled. */
  get #busy(): number {
    return [...this.#running.keys()].filter((claim) => !claim.stalled).length;
  }

  /** Workers that fetch what others have stalled with. */
  get #hedges(): number {
    return [...this.#running].filter(([claim, { flight }]) => !claim.stalled && this.#hasStalled(flight, claim)).length;
  }

  /** Whether somebody has stalled where this begins; without Range, anywhere: it begins at the start again. */
  #hasStalled(flight: Flight, { start }: Pick<Claim, 'start'>): boolean {
    const covers = (claim: Claim) => !flight.ranged || (claim.position <= start && start < claim.end);
    return [...this.#running].some(([claim, of]) => claim.stalled && of.flight === flight && covers(claim));
  }

  /** Workers that one blob may have while others are wanted. */
  get #half(): number {
    return Math.max(1, Math.floor(this.#connections / 2));
  }

  #next(): { flight: Flight; want: Want } | undefined {
    const busy = this.#busy;
    // Whatever is wanted has to wait: it is not worth finding out.
    if (busy >= this.#connections || this.#running.size >= mostWorkers * this.#connections) return undefined;
    const mayHedge = this.#hedges < this.#connections * hedgeShare;
    const candidates: { flight: Flight; want: Want }[] = [];
    for (const flight of this.#flights) {
      const want = flight.want();
      if (want === undefined || busy >= this.#capacityFor(want)) continue;
      if (want.urgency !== urgency.first && this.#comesFast(flight)) continue;
      if (mayHedge || !this.#hasStalled(flight, want)) candidates.push({ flight, want });
    }
    const others = candidates.filter(({ want }) => want.urgency < urgency.unread).length > 1;
    const fair = candidates.filter(({ flight }) => !others || flight.spans < this.#half);
    return fair.reduce<{ flight: Flight; want: Want } | undefined>(
      (best, each) => (best === undefined || this.#compare(each.want, best.want) < 0 ? each : best),
      undefined,
    );
  }

  /** Whether the connections that bring this blob are enough for it. */
  #comesFast(flight: Flight): boolean {
    const now = this.#clock.now();
    let rate = 0;
    for (const [claim, { flight: of, endpoint, began }] of this.#running) {
      if (of !== flight || claim.stalled) continue;
      const elapsed = now - began;
      const seen = elapsed > seenAfter ? ((claim.position - claim.start) * 1000) / elapsed : Number.POSITIVE_INFINITY;
      rate += Math.min(seen, this.#rates.get(endpoint) ?? 0);
    }
    return rate >= fastRate;
  }

  #capacityFor(want: Want): number {
    const begins = want.urgency === urgency.waiting && this.#spansFor(want.share) === 0;
    if (begins || want.urgency === urgency.first) return this.#connections;
    return Math.max(1, this.#connections - keptForFirst);
  }

  /**
   * Urgency first; then the pull for which the fewest spans are being fetched, since connections share a line evenly; of
   * those, the one that was served longest ago; and of one pull the lower layer, which its node unpacks first.
   */
  #compare(a: Want, b: Want): number {
    return (
      a.urgency - b.urgency ||
      this.#spansFor(a.share) - this.#spansFor(b.share) ||
      a.share.servedAt - b.share.servedAt ||
      a.layer - b.layer
    );
  }

  /** Spans that are being fetched for a pull, but for those that have stalled. */
  #spansFor(share: Share): number {
    return [...this.#running].filter(([claim, of]) => of.share === share && !claim.stalled).length;
  }

  #launch(flight: Flight, want: Want): void {
    const attempt = flight.approach.next();
    if (attempt === undefined) {
      this.#flights.delete(flight);
      return;
    }
    const claim = flight.claim(flight.ranged ? spanOf(want, this.#lengthOf(flight, want, attempt)) : want);
    this.#running.set(claim, { flight, share: want.share, endpoint: attempt.endpoint, began: this.#clock.now() });
    want.share.servedAt = ++this.#served;
    flight.deliveries.asked(attempt.endpoint);
    void this.#fetch(flight, attempt, claim).finally(() => {
      this.#running.delete(claim);
      flight.release(claim);
      this.pump();
    });
  }

  async #fetch(flight: Flight, attempt: Attempt, claim: Claim): Promise<void> {
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
    const rate = this.#rates.get(endpoint) ?? unknownRate;
    if (rate >= fastRate) return largestFastSpan;
    // The end of a blob is cut smaller, so that several connections bring it.
    const part = Math.max(mib, (end - start) / this.#half);
    return Math.max(smallestSpan, Math.min(largestSpan, rate * spanSeconds, part));
  }
}
