import { join } from 'node:path';
import { BufferBudget } from './async/buffers.ts';
import { type Cancel, type Clock, sleep } from './async/clock.ts';
import { Store } from './cache/store.ts';
import type { Catalog } from './catalog/catalog.ts';
import { SqliteCatalog } from './catalog/sqlite.ts';
import { InForce, type Replacement } from './config/in-force.ts';
import type { Settings } from './config/settings.ts';
import { describeError, type Log } from './metrics/log.ts';
import { Metrics } from './metrics/metrics.ts';
import { Prefetch } from './pulls/prefetch.ts';
import { RangeReads } from './pulls/range-reads.ts';
import { configuredRules, type RulesOf } from './pulls/rules.ts';
import { Sessions } from './pulls/sessions.ts';
import { answerApi } from './server/admin-api.ts';
import { AdminGate } from './server/admin-gate.ts';
import { Admission } from './server/admission.ts';
import { App, type Bound } from './server/app.ts';
import { Certificate } from './server/certificate.ts';
import { clientAddresses } from './server/client-address.ts';
import { Logins } from './server/logins.ts';
import { Pacer, type PacerParts } from './server/pacer.ts';
import { answerLive, answerReady } from './server/probes.ts';
import { answerPull, type PullParts } from './server/pull.ts';
import { Showing } from './server/showing.ts';
import { DiskStorage } from './storage/disk.ts';
import type { StorageDriver } from './storage/driver.ts';
import { Routes } from './upstream/routes.ts';

/** What a mirror takes from its surroundings. */
export interface Surroundings {
  readonly clock: Clock;
  readonly log: Log;
}

/** What every stream together may hold in memory. */
const bufferBytes = 32 * 1024 * 1024;
const flushEvery = 10_000;
const drainPoll = 100;

/** The whole mirror: built here, and closed in reverse. */
export class Mirror {
  readonly #inForce: InForce;
  readonly #surroundings: Surroundings;
  readonly #storage: StorageDriver;
  readonly #catalog: Catalog;
  readonly #metrics = new Metrics();
  readonly #budget = new BufferBudget(bufferBytes);
  readonly #admission: Admission;
  readonly #routes: Routes;
  readonly #store: Store;
  readonly #sessions: Sessions;
  readonly #showing: Showing;
  readonly #apps: App[] = [];
  #logins: Logins | undefined;
  #cancelFlush: Cancel = () => {};

  private constructor(settings: Settings, surroundings: Surroundings, storage: StorageDriver, catalog: Catalog) {
    const { clock, log } = surroundings;
    const inForce = new InForce(settings);
    this.#inForce = inForce;
    this.#surroundings = surroundings;
    this.#storage = storage;
    this.#catalog = catalog;
    this.#admission = new Admission(this.#budget, () => inForce.settings.clients.maxStreams);
    this.#routes = new Routes(settings, clock, log, this.#metrics);
    const rules = inForce.derived(({ watchdog }) => configuredRules(watchdog));
    const rulesOf: RulesOf = (address, runtime) => rules()(address, runtime);
    this.#sessions = new Sessions({ clock, metrics: this.#metrics, rulesOf });
    this.#store = new Store({
      storage,
      catalog,
      metrics: this.#metrics,
      clock,
      log,
      serving: () => this.#budget.streams > 0,
      settings: () => inForce.settings.cache,
    });
    this.#showing = new Showing({
      ...surroundings,
      metrics: this.#metrics,
      routes: this.#routes,
      catalog,
      flights: this.#store.flights,
      sessions: this.#sessions,
      cacheLimit: () => inForce.settings.cache.maxSize,
    });
  }

  /** Opens the data directory. Nothing listens yet. @throws CatalogError, StorageError */
  static async open(settings: Settings, surroundings: Surroundings): Promise<Mirror> {
    const storage = await DiskStorage.open(settings.dataDir);
    try {
      const catalog = new SqliteCatalog(join(settings.dataDir, 'catalog.db'));
      const mirror = new Mirror(settings, surroundings, storage, catalog);
      await mirror.#store.tidy();
      return mirror;
    } catch (error) {
      await storage.close();
      throw error;
    }
  }

  /** Listens on all addresses. @returns where, in the order of the configuration, and where admin is. */
  async listen(): Promise<{ registry: readonly Bound[]; admin: Bound }> {
    const { clock, log } = this.#surroundings;
    const { tls, clients, listen } = this.#inForce.settings;
    this.#logins = clients.htpasswd === undefined ? undefined : new Logins(clients.htpasswd, clock, log);
    const parts = this.#pullParts();
    const registry = await this.#app(
      {
        fixed: {
          '/livez': answerLive,
          '/readyz': (request, response) =>
            answerReady({ storage: this.#storage, admission: this.#admission }, request, response),
        },
        otherwise: (request, response) => answerPull(parts, request, response),
      },
      tls && new Certificate(tls, clock, log),
    );
    const { blobs, images, manifests, scrubber, warming } = this.#store;
    const catalog = this.#catalog;
    const adminParts = { blobs, catalog, images, manifests, scrubber, warming, routes: this.#routes, clock, log };
    const gate = this.#inForce.derived((settings) => new AdminGate(settings, log));
    const admin = await this.#app({
      admits: (request, response) => gate().admits(request, response),
      fixed: await this.#showing.routes(),
      otherwise: (request, response) => answerApi(adminParts, request, response),
    });
    const bound: Bound[] = [];
    for (const address of listen) {
      try {
        bound.push(await registry.listen(address));
      } catch (error) {
        if (!address.optional || !isNoAddress(error)) throw error;
      }
    }
    this.#flushRegularly();
    this.#store.scrubber.start();
    return { registry: bound, admin: await admin.listen(this.#inForce.settings.admin) };
  }

  /**
   * Puts new settings in force, while pulls go on.
   * @throws the system's error when a file that they name cannot be read; then nothing has changed.
   */
  reconfigure(settings: Settings): Replacement {
    this.#routes.use(settings);
    const replacement = this.#inForce.replace(settings);
    this.#store.makeRoom();
    return replacement;
  }

  /**
   * Makes no new promises from now on, and waits until those that were made are kept, or `drainTimeout` has passed. The
   * listener stays, so that clients are told.
   */
  async drain(): Promise<void> {
    const { clock } = this.#surroundings;
    this.#admission.close();
    this.#showing.close();
    const until = clock.now() + this.#inForce.settings.drainTimeout;
    const { signal } = new AbortController();
    while (clock.now() < until && (this.#sessions.active || this.#budget.streams > 0))
      await sleep(clock, drainPoll, signal);
  }

  /** Ends everything; what is unfinished is recorded for the next start. */
  async close(): Promise<void> {
    this.#cancelFlush();
    this.#sessions.close();
    this.#showing.close();
    const closed = this.#apps.map((app) => app.close());
    for (const app of this.#apps) app.closeAllConnections();
    await Promise.all(closed);
    await this.#store.scrubber.close();
    await this.#store.flights.close();
    await this.#logins?.close();
    await this.#routes.close();
    this.#catalog.close();
    await this.#storage.close();
  }

  async #app(...contents: Parameters<typeof App.create>): Promise<App> {
    const app = await App.create(...contents);
    this.#apps.push(app);
    return app;
  }

  #pullParts(): PullParts {
    const { clock, log } = this.#surroundings;
    const { blobs, listings, manifests, promises } = this.#store;
    const prefetch = new Prefetch({ blobs, clock, log });
    const inForce = this.#inForce;
    const clientOf = inForce.derived(({ clients }) => clientAddresses(clients.trustProxy));
    const pacerParts: PacerParts = {
      clock,
      metrics: this.#metrics,
      get settings() {
        return inForce.settings.watchdog;
      },
    };
    return {
      clock,
      metrics: this.#metrics,
      log,
      routes: this.#routes,
      sessions: this.#sessions,
      rangeReads: new RangeReads(clock),
      admission: this.#admission,
      logins: this.#logins,
      clientOf: (request) => clientOf()(request),
      budget: this.#budget,
      pacer: new Pacer(pacerParts),
      manifests,
      promises,
      listings,
      blobs,
      get prefetch() {
        return inForce.settings.prefetch ? prefetch : undefined;
      },
    };
  }

  #flushRegularly(): void {
    this.#cancelFlush = this.#surroundings.clock.after(flushEvery, () => {
      try {
        this.#catalog.flush();
      } catch (error) {
        this.#surroundings.log.error({ error: describeError(error) }, 'the catalog cannot be written');
      }
      this.#flushRegularly();
    });
  }
}

/** The machine has no such address: IPv6 is turned off. */
function isNoAddress(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(?:EADDRNOTAVAIL|EAFNOSUPPORT)$/.test(String(error.code));
}
