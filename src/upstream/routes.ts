import type { Clock } from '../async/clock.ts';
import type { Settings, UpstreamSettings } from '../config/settings.ts';
import type { Log } from '../metrics/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { RegistryError } from '../oci/errors.ts';
import type { PullPath } from '../oci/pull-path.ts';
import { Registry } from './registry.ts';

/** Which repository of which upstream a request means. */
export interface Route {
  readonly registry: Registry;
  /** The repository's name at the upstream. */
  readonly repository: string;
}

interface Upstream {
  readonly registry: Registry;
  readonly permits: (repository: string) => boolean;
}

/** What of the settings says which upstream is meant. */
export type RouteSettings = Pick<Settings, 'upstreams' | 'defaultUpstream'>;

/** Finds the upstream of a request, among those that are configured and no others. */
export class Routes {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #metrics: Metrics;
  /** By name, also those that are not configured any more: blobs may be arriving from them. */
  readonly #registries = new Map<string, Registry>();
  /** By name and alias. */
  #byLabel: ReadonlyMap<string, Upstream> = new Map();
  #fallback: Upstream | undefined;
  #hostLabels: ReadonlySet<string> = new Set();

  constructor(settings: RouteSettings, clock: Clock, log: Log, metrics: Metrics) {
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.use(settings);
  }

  /**
   * Puts these settings in force. An upstream stays the same one as long as it has its name; what was routed goes on.
   * @throws the system's error when a file that they name cannot be read; then nothing has changed.
   */
  use({ upstreams, defaultUpstream }: RouteSettings): void {
    const ready = upstreams.map((settings) => {
      const known = this.#registries.get(settings.name);
      const registry = known ?? new Registry(settings, this.#clock, this.#log, this.#metrics);
      return { settings, upstream: { registry, permits: permission(settings) }, commit: registry.prepare(settings) };
    });
    for (const { upstream, commit } of ready) {
      commit();
      this.#registries.set(upstream.registry.name, upstream.registry);
    }
    this.#byLabel = new Map(
      ready.flatMap(({ settings: { name, aliases }, upstream }) =>
        [name, ...aliases].map((label) => [label, upstream]),
      ),
    );
    this.#fallback = this.#byLabel.get(defaultUpstream);
    this.#hostLabels = new Set(upstreams.map(({ name }) => name));
  }

  /** Every upstream that is configured, once. */
  get registries(): readonly Registry[] {
    return [...new Set([...this.#byLabel.values()].map(({ registry }) => registry))];
  }

  /**
   * Resolves a request: the segment before `/v2/`, then the first component of the name, then `ns`, then the Host, then
   * the default. Where the name's first component and `ns` disagree, `ns` counts and the name is left whole: it is a
   * repository inside that registry.
   * @throws RegistryError `NAME_UNKNOWN` for an upstream that is not configured, `DENIED` for a repository that is not allowed.
   */
  resolve({ prefix, ns, name }: PullPath, host: string | undefined): Route {
    const before = prefix === undefined ? undefined : this.#required(prefix);
    if (before !== undefined) return this.#route(before, name);
    const [first = '', ...rest] = name.split('/');
    const inName = rest.length > 0 ? this.#byLabel.get(first) : undefined;
    const named = ns === undefined ? undefined : this.#required(ns);
    if (inName !== undefined && (named === undefined || named === inName)) return this.#route(inName, rest.join('/'));
    return this.#route(named ?? this.#byHost(host) ?? this.#default(name), name);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#registries.values()].map((registry) => registry.close()));
  }

  /** Namespaces of Docker Hub have no dots: what begins like a host is meant for a registry that is not configured. */
  #default(name: string): Upstream {
    const fallback = this.#fallback;
    if (fallback === undefined) throw new RegistryError('NAME_UNKNOWN', { detail: 'there is no default upstream' });
    const isElsewhere = fallback.registry.name === 'docker.io' && /^[^/]*[.:][^/]*\//.test(name);
    if (isElsewhere) throw new RegistryError('NAME_UNKNOWN', { detail: 'this upstream is not configured' });
    return fallback;
  }

  #required(label: string): Upstream {
    // Outside ASCII there are letters whose lower case is within.
    const upstream = /^[!-~]+$/.test(label) ? this.#byLabel.get(canonical(label)) : undefined;
    if (upstream === undefined) throw new RegistryError('NAME_UNKNOWN', { detail: 'this upstream is not configured' });
    return upstream;
  }

  /** Aliases are not hosts: only an upstream's own name is. */
  #byHost(host: string | undefined): Upstream | undefined {
    const name = canonical(host ?? '');
    const label = [name, name.replace(/:\d+$/, '')].find((each) => this.#hostLabels.has(each));
    return label === undefined ? undefined : this.#byLabel.get(label);
  }

  #route({ registry, permits }: Upstream, name: string): Route {
    const repository = registry.name === 'docker.io' && !name.includes('/') ? `library/${name}` : name;
    if (!permits(repository)) throw new RegistryError('DENIED', { detail: 'this repository may not be pulled here' });
    return { registry, repository };
  }
}

/** Docker Hub's API and index hosts are names of `docker.io`. */
function canonical(label: string): string {
  const name = label.toLowerCase();
  return name === 'registry-1.docker.io' || name === 'index.docker.io' ? 'docker.io' : name;
}

function permission({ allow, deny }: UpstreamSettings): (repository: string) => boolean {
  const allowed = allow?.map(toPattern) ?? [/^/];
  const denied = deny.map(toPattern);
  return (name) => allowed.some((pattern) => pattern.test(name)) && !denied.some((pattern) => pattern.test(name));
}

/** `*` matches any characters, slashes too. */
function toPattern(glob: string): RegExp {
  return new RegExp(`^${glob.split('*').map(escapeText).join('.*')}$`);
}

function escapeText(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
