import type { Network } from './networks.ts';
import type { ProxySettings } from './proxy.ts';
import type { ConfigFile, ListenAddress, NetworkRate, UpstreamEntry } from './schema.ts';
import type { Fraction } from './units.ts';

/** One upstream, complete. Durations are milliseconds. */
export interface UpstreamSettings {
  readonly name: string;
  readonly endpoints: readonly string[];
  readonly aliases: readonly string[];
  readonly credentials:
    | { readonly username: string; readonly passwordFile: string }
    | { readonly dockerConfig: string }
    | undefined;
  readonly tagTtl: number;
  readonly negativeTtl: number;
  readonly staleIfError: number;
  /** Never asked; then `staleIfError` has no end. */
  readonly offline: boolean;
  readonly connections: number;
  readonly giveUp: number;
  readonly stallTimeout: number;
  readonly privateNetwork: boolean;
  /** Hosts of token services that may be sent our login. */
  readonly realms: readonly string[];
  readonly proxy: ProxySettings;
  readonly ca: string | undefined;
  readonly insecure: boolean;
  readonly allow: readonly string[] | undefined;
  readonly deny: readonly string[];
}

/** What is assumed of the nodes. Durations are milliseconds. */
export interface WatchdogSettings {
  readonly timeout: number;
  readonly drip: number;
  readonly guard: 'auto' | 'always' | 'off';
  /** Compressed bytes per second. */
  readonly commitRate: number;
  /** The same by network; the narrowest counts. */
  readonly commitRates: readonly NetworkRate[] | undefined;
  readonly maxHold: number;
}

/** The configuration in force: every key has a value. Durations are milliseconds, sizes bytes. */
export interface Settings {
  readonly listen: readonly ListenAddress[];
  readonly admin: ListenAddress;
  /** Names by which the admin address is asked. */
  readonly adminHosts: readonly string[];
  readonly adminToken: { readonly file: string } | undefined;
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly dataDir: string;
  readonly cache: {
    readonly maxSize: number;
    readonly minFree: number | Fraction;
    /** One of so many chunks is checked when it is read; 0: none. */
    readonly verifySample: number;
    readonly idleFlight: number;
  };
  readonly defaultUpstream: string;
  readonly upstreams: readonly UpstreamSettings[];
  readonly watchdog: WatchdogSettings;
  readonly prefetch: boolean;
  readonly clients: {
    readonly maxStreams: number;
    readonly htpasswd: string | undefined;
    readonly trustProxy: readonly Network[];
  };
  readonly drainTimeout: number;
  readonly log: { readonly level: string; readonly format: 'json' | 'pretty' | undefined };
}

const seconds = 1000;
const minutes = 60 * seconds;

const upstreamDefaults = {
  aliases: [],
  tagTtl: 5 * minutes,
  negativeTtl: 10 * seconds,
  staleIfError: 7 * 24 * 60 * minutes,
  offline: false,
  connections: 8,
  giveUp: 15 * minutes,
  stallTimeout: 3 * seconds,
  privateNetwork: false,
  realms: [],
  insecure: false,
  deny: [],
} as const;

const watchdogDefaults: WatchdogSettings = {
  timeout: 10 * seconds,
  drip: 2 * seconds,
  guard: 'auto',
  commitRate: 60 * 2 ** 20,
  commitRates: undefined,
  maxHold: 5 * minutes,
};

const defaultUpstreams: Readonly<Record<string, UpstreamEntry>> = {
  'docker.io': { endpoints: ['https://registry-1.docker.io'] },
  'quay.io': {},
  'ghcr.io': {},
  'gcr.io': {},
  'registry.k8s.io': {},
  'mcr.microsoft.com': {},
  'public.ecr.aws': {},
};

const noProxy: ProxySettings = { http: undefined, https: undefined, except: '' };

/** Completes a configuration file with the defaults; `proxy` is for upstreams that say none themselves. */
export function completeSettings(file: ConfigFile, proxy: ProxySettings = noProxy): Settings {
  return {
    // Both loopback addresses, since `localhost` is either, where the machine has both.
    listen: file.listen ?? [
      { host: '127.0.0.1', port: 5000 },
      { host: '::1', port: 5000, optional: true },
    ],
    admin: file.admin ?? { host: '127.0.0.1', port: 5001 },
    adminHosts: file.adminHosts ?? [],
    adminToken: file.adminToken,
    tls: file.tls,
    dataDir: file.dataDir ?? './data',
    cache: {
      maxSize: 100 * 2 ** 30,
      minFree: { fraction: 0.05 },
      verifySample: 16,
      idleFlight: 10 * minutes,
      ...file.cache,
    },
    defaultUpstream: file.defaultUpstream ?? 'docker.io',
    upstreams: mergeUpstreams(file.upstreams ?? {}, { credentials: file.credentials, proxy }),
    watchdog: { ...watchdogDefaults, ...file.watchdog },
    prefetch: file.prefetch ?? true,
    clients: { maxStreams: 2000, htpasswd: undefined, trustProxy: [], ...file.clients },
    drainTimeout: file.drainTimeout ?? minutes,
    log: { level: 'info', format: undefined, ...file.log },
  };
}

/** What an upstream has that says nothing of its own. */
type Common = Pick<UpstreamSettings, 'credentials' | 'proxy'>;

function mergeUpstreams(entries: Readonly<Record<string, UpstreamEntry | null>>, common: Common): UpstreamSettings[] {
  const names = new Set([...Object.keys(defaultUpstreams), ...Object.keys(entries)]);
  return [...names]
    .filter((name) => entries[name] !== null)
    .map((name) => completeUpstream(name, { ...defaultUpstreams[name], ...entries[name] }, common));
}

function completeUpstream(name: string, { proxy, ...entry }: UpstreamEntry, common: Common): UpstreamSettings {
  return {
    ...upstreamDefaults,
    ...common,
    name,
    endpoints: [`https://${name}`],
    ca: undefined,
    allow: undefined,
    ...entry,
    ...(entry.offline ? { staleIfError: Number.POSITIVE_INFINITY } : {}),
    ...(proxy === undefined ? {} : { proxy: { http: proxy, https: proxy, except: '' } }),
  };
}
