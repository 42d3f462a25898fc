import type { Clock } from '../async/clock.ts';
import type { FlightView } from '../cache/flight-view.ts';
import type { Flights } from '../cache/flights.ts';
import { Holdings } from '../cache/holdings.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Log } from '../metrics/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ClientView } from '../pulls/clients.ts';
import type { PullView } from '../pulls/pull-view.ts';
import type { Sessions } from '../pulls/sessions.ts';
import type { Routes } from '../upstream/routes.ts';
import type { UpstreamView } from '../upstream/wiring.ts';
import { answerJson, answerMetrics } from './admin.ts';
import type { AppRoutes } from './app.ts';
import { Events } from './events.ts';
import type { Shown, Topic } from './feed.ts';
import { dashboardPages } from './pages.ts';
import { type StatusView, viewStatus } from './status.ts';

/** What the admin address shows things of. */
export interface ShowingParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly routes: Pick<Routes, 'registries'>;
  readonly catalog: Catalog;
  readonly flights: Flights;
  readonly sessions: Sessions;
  /** Bytes that may be kept. */
  cacheLimit(): number;
}

/** What the admin address shows, at once and as it changes, and the dashboard. */
export class Showing {
  readonly #parts: ShowingParts;
  readonly #holdings: Holdings;
  readonly #events: Events;

  constructor(parts: ShowingParts) {
    this.#parts = parts;
    this.#holdings = new Holdings({ blobs: parts.catalog.blobs, flights: parts.flights });
    this.#events = new Events({ ...parts, topics: this.#topics() });
  }

  /** How it answers, by path. @throws the system's error when the dashboard's files cannot be read. */
  async routes(): Promise<AppRoutes['fixed']> {
    const { metrics, routes, flights, sessions, catalog, cacheLimit } = this.#parts;
    return {
      '/metrics': (request, response) => {
        metrics.flights.set(flights.size);
        metrics.cacheBytes.set(catalog.usage.bytes());
        metrics.cacheLimit.set(cacheLimit());
        for (const registry of routes.registries) countLimits(metrics, registry.view());
        return answerMetrics(metrics, request, response);
      },
      '/api/status': async (request, response) => answerJson(await this.#status(), request, response),
      '/api/flights': (request, response) => answerJson(flights.views(), request, response),
      '/api/pulls': (request, response) => answerJson(this.#pulls(), request, response),
      '/api/clients': (request, response) => answerJson(sessions.clients(), request, response),
      '/api/events': (request, response) => this.#events.answer(request, response),
      ...(await dashboardPages()),
    };
  }

  /** Ends the events: the mirror is shutting down. */
  close(): void {
    this.#events.close();
  }

  #topics(): Topic[] {
    const { flights, sessions } = this.#parts;
    return [
      { name: 'pulls', every: 1, read: () => keyed(this.#pulls(), ({ id }) => String(id)) },
      { name: 'flights', every: 1, read: () => keyed(flights.views().map(coarse), keyOfFlight) },
      { name: 'clients', every: 4, read: () => keyed(sessions.clients(), keyOfClient) },
      { name: 'status', every: 4, read: async () => [['status', calm(await this.#status())]] },
    ];
  }

  #pulls(): PullView[] {
    return this.#parts.sessions.pulls(this.#holdings.now());
  }

  #status(): Promise<StatusView> {
    const { metrics, routes, catalog, cacheLimit } = this.#parts;
    return viewStatus({ metrics, routes, cache: { bytes: catalog.usage.bytes(), limit: cacheLimit() } });
  }
}

function countLimits({ circuitOpen, circuitReopens }: Metrics, { name, circuits }: UpstreamView): void {
  const open = circuits.filter(({ state }) => state === 'open').map(({ reopensAt }) => Date.parse(reopensAt) / 1000);
  circuitOpen.set({ upstream: name }, open.length);
  circuitReopens.set({ upstream: name }, Math.max(0, ...open));
}

function keyed<T>(views: readonly T[], keyOf: (view: T) => string): Shown {
  return views.map((view) => [keyOf(view), view]);
}

function keyOfFlight({ upstream, digest, size }: FlightView): string {
  return `${upstream} ${digest} ${size}`;
}

function keyOfClient({ address, runtime, version }: ClientView): string {
  return `${address} ${runtime}/${version}`;
}

/** In minutes, so that it is no news twice a second that time goes by. */
function calm(status: StatusView): StatusView {
  return { ...status, uptime: status.uptime - (status.uptime % 60) };
}

/** Gaps that are narrower than this part of the blob cannot be seen. */
const finest = 1 / 512;

/** With the intervals as far as they can be told apart when they are drawn. */
function coarse(flight: FlightView): FlightView {
  const narrow = (flight.size ?? 0) * finest;
  const held: [number, number][] = [];
  for (const [start, end] of flight.held) {
    const last = held.at(-1);
    if (last !== undefined && start - last[1] < narrow) last[1] = end;
    else held.push([start, end]);
  }
  return { ...flight, held };
}
