import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import { parseRetryAfter } from '../http/retry-after.ts';
import { UpstreamError } from './errors.ts';
import type { UpstreamResponse } from './response.ts';

/** What requests to upstreams are for: limits count one kind, and spare the others. */
export type RequestKind = 'manifest' | 'blob' | 'list' | 'ping' | 'token';

/** What a limit is on. */
export interface Limited {
  /** The host that is asked. */
  readonly origin: string;
  readonly kind: RequestKind;
  /** Whose quota it is; `undefined`: that of our address. */
  readonly account: string | undefined;
}

/** A limit that is in force. */
export interface CircuitView {
  readonly endpoint: string;
  readonly kind: RequestKind;
  readonly login: 'anonymous' | 'ours';
  /** `open`: nothing is asked until `reopensAt`; `half-open`: one request tries whether the limit is over. */
  readonly state: 'open' | 'half-open';
  /** RFC 3339. */
  readonly reopensAt: string;
}

interface Circuit {
  readonly limited: Limited;
  /** Monotonic milliseconds until which nothing is asked. */
  until: number;
  /** Limits in a row. */
  times: number;
  trying: boolean;
}

const shortestPause = 1000;
/** Where the registry does not say how long. */
const firstPause = 60_000;
const longestPause = 15 * 60_000;
/** Milliseconds after which those are heard again who came while another one tried. */
const trialPause = 1000;

/**
 * The limits (429) of one upstream. After one, that kind of request is not made with that account at that host until the
 * time is over that the registry asked for; then one request tries, and all others wait for what comes of it.
 */
export class Circuits {
  readonly #upstream: string;
  readonly #clock: Clock;
  readonly #circuits = new LRUCache<string, Circuit>({ max: 1000 });

  constructor(upstream: string, clock: Clock) {
    this.#upstream = upstream;
    this.#clock = clock;
  }

  /** The same, but for the limits at these hosts. */
  without(origins: ReadonlySet<string>): Circuits {
    const others = new Circuits(this.#upstream, this.#clock);
    for (const [key, circuit] of this.#circuits.entries()) {
      if (!origins.has(circuit.limited.origin)) others.#circuits.set(key, circuit);
    }
    return others;
  }

  /** Sends, where no limit forbids it. @throws UpstreamError `limited`, with the time that is left; what `send` throws. */
  async pass(limited: Limited, send: () => Promise<UpstreamResponse>): Promise<UpstreamResponse> {
    const key = `${limited.origin} ${limited.kind} ${limited.account ?? ''}`;
    const circuit = this.#circuits.get(key);
    if (circuit !== undefined) this.#begin(circuit);
    try {
      const response = await send();
      if (response.status === 429) throw await this.#open(key, limited, circuit, response);
      if (circuit !== undefined) this.#circuits.delete(key);
      return response;
    } finally {
      if (circuit !== undefined) circuit.trying = false;
    }
  }

  /** The limits in force. */
  views(): CircuitView[] {
    const now = this.#clock.now();
    return [...this.#circuits.values()].map(({ limited, until }) => ({
      endpoint: limited.origin,
      kind: limited.kind,
      login: limited.account === undefined ? 'anonymous' : 'ours',
      state: until > now ? 'open' : 'half-open',
      reopensAt: new Date(this.#clock.wall() + until - now).toISOString(),
    }));
  }

  #begin(circuit: Circuit): void {
    const left = circuit.until - this.#clock.now();
    if (left > 0) throw this.#error(circuit.limited, left, 'it limits us');
    if (circuit.trying) throw this.#error(circuit.limited, trialPause, 'it may limit us still');
    circuit.trying = true;
  }

  async #open(
    key: string,
    limited: Limited,
    tried: Circuit | undefined,
    response: UpstreamResponse,
  ): Promise<UpstreamError> {
    await response.dump();
    // Requests that were on their way at the same time meet the same limit.
    const known = tried ?? this.#circuits.get(key);
    const times = tried === undefined ? (known?.times ?? 0) : tried.times + 1;
    const asked = parseRetryAfter(response.header('retry-after'), this.#clock.wall());
    const pause = Math.max(shortestPause, asked ?? Math.min(longestPause, firstPause * 2 ** times));
    const until = Math.max(known?.until ?? 0, this.#clock.now() + pause);
    this.#circuits.set(key, { limited, until, times, trying: false });
    return this.#error(limited, pause, 'it limits us', 429);
  }

  #error({ origin }: Limited, retryAfterMs: number, message: string, status?: number): UpstreamError {
    return new UpstreamError(this.#upstream, 'limited', message, { endpoint: origin, retryAfterMs, status });
  }
}
