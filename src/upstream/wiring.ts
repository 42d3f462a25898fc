import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../async/clock.ts';
import type { UpstreamSettings } from '../config/settings.ts';
import type { Log } from '../metrics/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { Authenticator } from './auth.ts';
import { Circuits, type CircuitView } from './circuits.ts';
import { Connections } from './connections.ts';
import { Credentials } from './credentials.ts';
import { Exchange } from './exchange.ts';
import { type EndpointView, Health } from './health.ts';
import { TokenService } from './token-service.ts';
import { Tokens } from './tokens.ts';
import { Transport } from './transport.ts';

/** What follows from the settings of an upstream. */
export interface Wiring {
  readonly settings: UpstreamSettings;
  /** What the `ca` file held: PEM. */
  readonly authorities: string | undefined;
  readonly health: Health;
  readonly circuits: Circuits;
  readonly credentials: Credentials;
  readonly transport: Transport;
  readonly exchange: Exchange;
}

/** What it is built with. */
export interface WiringParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Builds it. `before`: what was in force until now. What is known of its endpoints stays known, as long as they are asked
 * in the same way and as the same one. @throws the system's error when a file that the settings name cannot be read.
 */
export function wire(settings: UpstreamSettings, { clock, log, metrics }: WiringParts, before?: Wiring): Wiring {
  const { name, endpoints } = settings;
  const authorities = authoritiesOf(settings);
  const known = before && isDeepStrictEqual(mannerOf(before), mannerOf({ settings, authorities })) ? before : undefined;
  const gone = new Set(known?.settings.endpoints.filter((endpoint) => !endpoints.includes(endpoint)));
  const circuits = known?.circuits.without(gone) ?? new Circuits(name, clock);
  const transport = new Transport(name, new Connections(settings, authorities), circuits, clock, metrics);
  const credentials = new Credentials(settings, clock);
  const service = new TokenService(name, transport, clock);
  const tokens = new Tokens({ settings, service, credentials, clock, log });
  const exchange = new Exchange(settings, transport, new Authenticator(name, credentials, tokens), clock);
  const health = new Health(clock, endpoints, known?.health);
  return { settings, authorities, health, circuits, credentials, transport, exchange };
}

/** Whether nothing has changed: neither the settings nor what the files hold that are read once. @throws the system's error */
export function isInForce(settings: UpstreamSettings, wiring: Wiring): boolean {
  return authoritiesOf(settings) === wiring.authorities && isDeepStrictEqual(settings, wiring.settings);
}

function authoritiesOf({ ca }: UpstreamSettings): string | undefined {
  return ca === undefined ? undefined : readFileSync(ca, 'utf8');
}

/** How endpoints are asked, and as whom. */
function mannerOf({ settings, authorities }: Pick<Wiring, 'settings' | 'authorities'>): object {
  const { credentials, insecure, privateNetwork, proxy, realms } = settings;
  return { credentials, insecure, privateNetwork, proxy, realms, authorities };
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
export function viewWiring({ settings, circuits, health, transport }: Wiring): Omit<UpstreamView, 'repairs'> {
  const limits = circuits.views();
  const endpoints = health.views();
  const state = limits.length > 0 ? 'limited' : bestOf(endpoints);
  return { name: settings.name, state, endpoints, circuits: limits, rateLimitRemaining: transport.remaining ?? null };
}

function bestOf(endpoints: readonly EndpointView[]): EndpointView['state'] {
  const states = ['up', 'unknown', 'failing'] as const;
  return states.find((state) => endpoints.some((each) => each.state === state)) ?? 'unknown';
}
