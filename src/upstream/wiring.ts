import type { Clock } from '../async/clock.ts';
import type { UpstreamSettings } from '../config/settings.ts';
import type { Log } from '../metrics/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { Authenticator } from './auth.ts';
import type { CircuitView } from './circuits.ts';
import { Credentials } from './credentials.ts';
import { Exchange } from './exchange.ts';
import { type EndpointView, Health } from './health.ts';
import { TokenService } from './token-service.ts';
import { Tokens } from './tokens.ts';
import { Transport } from './transport.ts';

/** What follows from the settings of an upstream. */
export interface Wiring {
  readonly settings: UpstreamSettings;
  readonly health: Health;
  readonly credentials: Credentials;
  readonly transport: Transport;
  readonly exchange: Exchange;
}

/** Builds it. @throws the system's error when a file that the settings name cannot be read. */
export function wire(settings: UpstreamSettings, clock: Clock, log: Log, metrics: Metrics): Wiring {
  const transport = new Transport(settings, clock, metrics);
  const credentials = new Credentials(settings, clock);
  const service = new TokenService(settings.name, transport, clock);
  const tokens = new Tokens({ settings, service, credentials, clock, log });
  const auth = new Authenticator(settings.name, credentials, tokens);
  const exchange = new Exchange(settings, transport, auth, clock);
  return { settings, health: new Health(clock, settings.endpoints), credentials, transport, exchange };
}

/** How an upstream does. */
export interface UpstreamView {
  readonly name: string;
  /** `limited`: there is a limit on some requests; else, how the best endpoint does. */
  readonly state: EndpointView['state'] | 'limited';
  readonly endpoints: readonly EndpointView[];
  readonly circuits: readonly CircuitView[];
  /** Manifests that may still be fetched; `null` where it does not say. */
  readonly rateLimitRemaining: number | null;
  /** Parts of blobs that did not come as they should, and were asked for again, since the process started. */
  readonly repairs: number;
}

/** Shows how an upstream does. */
export function viewWiring({ settings, health, transport }: Wiring): Omit<UpstreamView, 'repairs'> {
  const circuits = transport.limits;
  const endpoints = health.views();
  const state = circuits.length > 0 ? 'limited' : bestOf(endpoints);
  return { name: settings.name, state, endpoints, circuits, rateLimitRemaining: transport.remaining ?? null };
}

function bestOf(endpoints: readonly EndpointView[]): EndpointView['state'] {
  const states = ['up', 'unknown', 'failing'] as const;
  return states.find((state) => endpoints.some((each) => each.state === state)) ?? 'unknown';
}
