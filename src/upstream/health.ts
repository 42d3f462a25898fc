import type { Clock } from '../async/clock.ts';
import type { UpstreamError } from './errors.ts';

const firstPause = 1000;
const longestPause = 60_000;

interface State {
  failures: number;
  /** Monotonic milliseconds until which it is passed over. */
  until: number;
  /** When it last answered. */
  answeredAt: number;
}

const unknown = (): State => ({ failures: 0, until: 0, answeredAt: Number.NEGATIVE_INFINITY });

/** For so many milliseconds after its last answer, an endpoint that has not failed since is taken to be there. */
const wellFor = 10_000;

/** How an endpoint does. */
export interface EndpointView {
  readonly endpoint: string;
  /** `unknown`: it was never asked. */
  readonly state: 'up' | 'unknown' | 'failing';
  /** Failures in a row. */
  readonly failures: number;
  /** Milliseconds for which another one is preferred. */
  readonly passedOverMs: number;
}

/** Which endpoints of an upstream are failing: one that fails is passed over for a growing time. */
export class Health {
  readonly #clock: Clock;
  readonly #states: ReadonlyMap<string, State>;

  /** `known`: what is known already of some of these endpoints. */
  constructor(clock: Clock, endpoints: readonly string[], known?: Health) {
    this.#clock = clock;
    const states = known === undefined ? new Map<string, State>() : known.#states;
    this.#states = new Map(endpoints.map((endpoint) => [endpoint, states.get(endpoint) ?? unknown()]));
  }

  /** All endpoints, the best first: as configured, but those that are passed over last, soonest first. */
  order(): string[] {
    const now = this.#clock.now();
    const wait = (endpoint: string) => Math.max(0, (this.#states.get(endpoint)?.until ?? 0) - now);
    return [...this.#states.keys()].toSorted((a, b) => wait(a) - wait(b));
  }

  /** It answered. */
  succeeded(endpoint: string): void {
    const state = this.#states.get(endpoint);
    if (state) Object.assign(state, { failures: 0, until: 0, answeredAt: this.#clock.now() });
  }

  /** Whether any endpoint has answered a moment ago, and not failed since. */
  get well(): boolean {
    const since = this.#clock.now() - wellFor;
    for (const { failures, answeredAt } of this.#states.values())
      if (failures === 0 && answeredAt >= since) return true;
    return false;
  }

  /** How each of them does, in the order of the configuration. */
  views(): EndpointView[] {
    const now = this.#clock.now();
    return [...this.#states].map(([endpoint, { failures, until, answeredAt }]) => ({
      endpoint,
      state: failures > 0 ? 'failing' : answeredAt === Number.NEGATIVE_INFINITY ? 'unknown' : 'up',
      failures,
      passedOverMs: Math.max(0, Math.round(until - now)),
    }));
  }

  /** It failed; where it gave a definite answer about content, it is well. */
  note(endpoint: string, error: UpstreamError): void {
    // A limit is no failure: those that it is on know of it.
    if (error.kind === 'limited') return;
    const state = this.#states.get(endpoint);
    if (error.definite) this.succeeded(endpoint);
    // Many requests that fail at the same time are one failure.
    if (!state || error.definite || state.until > this.#clock.now()) return;
    state.until = this.#clock.now() + Math.min(longestPause, firstPause * 2 ** state.failures);
    state.failures++;
  }
}
