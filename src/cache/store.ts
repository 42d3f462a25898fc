import type { Clock } from '../async/clock.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Settings } from '../config/settings.ts';
import { describeError, type Log } from '../metrics/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { IntegrityError } from '../oci/errors.ts';
import type { StorageDriver } from '../storage/driver.ts';
import type { Registry } from '../upstream/registry.ts';
import { Access } from './access.ts';
import { BlobCache } from './blobs.ts';
import { Demotion } from './demotion.ts';
import { tryWrite } from './disk-failure.ts';
import { Evictor } from './evictor.ts';
import type { Flight } from './flight.ts';
import { ClosedError, Flights } from './flights.ts';
import { forwardClock } from './forward-clock.ts';
import { Images } from './images.ts';
import { Listings } from './listings.ts';
import { ManifestCache } from './manifests.ts';
import { Permissions } from './permissions.ts';
import { Promises } from './promises.ts';
import { Recent } from './recent.ts';
import { describeRepair, reasonOf } from './repairs.ts';
import type { SchedulerEvents } from './scheduler.ts';
import { Scrubber } from './scrubber.ts';
import { SharedBlobs } from './shared-blobs.ts';
import { Space } from './space.ts';
import { Uses } from './uses.ts';
import { Warming } from './warming.ts';

/** What the store is built on. */
export interface StoreParts {
  readonly storage: StorageDriver;
  readonly catalog: Catalog;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether anything is being sent to a client now. */
  serving(): boolean;
  /** The settings in force. */
  readonly settings: () => Settings['cache'];
}

/** Everything that is kept, and how it comes and goes: the parts of this folder, put together. */
export class Store {
  readonly manifests: ManifestCache;
  readonly flights: Flights;
  readonly blobs: BlobCache;
  readonly listings: Listings;
  readonly promises: Promises;
  readonly images: Images;
  readonly warming: Warming;
  readonly scrubber: Scrubber;
  readonly #parts: StoreParts;
  readonly #space: Space;

  constructor(parts: StoreParts) {
    const { catalog, clock, settings } = parts;
    this.#parts = parts;
    const uses = new Uses();
    const permissions = new Permissions(catalog.manifests, clock);
    const manifests = new ManifestCache(catalog, permissions, clock, parts.metrics);
    const evictor = new Evictor({ ...parts, uses, forgotten: (digests) => manifests.forget(digests) });
    this.#space = new Space({ ...parts, evictor, limits: settings });
    // What was used when decides what goes first.
    const used = { ...parts, clock: forwardClock(clock, catalog.usage.latest()) };
    const recent = new Recent();
    const flights = new Flights({
      ...used,
      uses,
      recent,
      space: this.#space,
      idleFlight: () => settings().idleFlight,
      events: (registry) => this.#schedulerEvents(registry),
      ended: (flight, error) => this.#flightEnded(flight, error),
      passes: (flight, error) => this.#flightPasses(flight, error),
    });
    this.manifests = manifests;
    this.flights = flights;
    const access = new Access(catalog.manifests, permissions, clock);
    const stored = new SharedBlobs(parts.storage, uses, recent);
    const demotion = new Demotion({ ...used, demoted: (digest) => stored.forget(digest) });
    const verifySample = () => settings().verifySample;
    this.blobs = new BlobCache({ ...used, stored, flights, access, demotion, verifySample });
    this.listings = new Listings(manifests, catalog, clock);
    this.promises = new Promises({ blobs: catalog.blobs, flights, manifests, clock });
    this.images = new Images({ catalog, evictor, manifests, uses });
    const busy = () => flights.size > 0 || parts.serving();
    this.scrubber = new Scrubber({ ...used, demotion, busy, found: () => this.makeRoom() });
    this.warming = new Warming({ blobs: this.blobs, catalog, flights, manifests, clock });
  }

  /** Counts what a crash left behind of a blob, removes what has no record, and what is too much. @throws StorageError */
  async tidy(): Promise<void> {
    const { catalog, storage } = this.#parts;
    const recorded = new Set(catalog.partials.list().map(({ name }) => name));
    const there = await storage.ingests();
    for (const [name, bytes] of there) {
      // What had come since its last record lies there too, and may be fetched again: until then it takes its room.
      if (recorded.has(name)) tryWrite(() => catalog.partials.measure(name, bytes));
      else await storage.removeIngest(name);
    }
    for (const name of recorded) if (!there.has(name)) tryWrite(() => catalog.partials.remove(name));
    await this.#space.makeRoom();
  }

  /** There may be too much, or soon. */
  makeRoom(): void {
    const failed = (cause: unknown) => this.#parts.log.error({ error: describeError(cause) }, 'no room could be made');
    this.#space.makeRoom().catch(failed);
  }

  #schedulerEvents(registry: Registry): SchedulerEvents {
    const { name } = registry;
    const { log, metrics } = this.#parts;
    return {
      received: (endpoint, bytes) => metrics.upstreamBytes.inc({ upstream: name, endpoint }, bytes),
      repaired: (repair) => {
        registry.repairs++;
        metrics.upstreamRepairs.inc({ reason: reasonOf(repair.error) });
        log.warn(describeRepair(repair), 'a part of a blob did not come as it should');
      },
    };
  }

  #flightEnded({ deliveries, digest, registry }: Flight, error: unknown): void {
    const { log, metrics } = this.#parts;
    const fields = { upstream: registry.name, digest };
    if (error instanceof IntegrityError) metrics.integrityFailures.inc({ where: 'upstream' });
    if (error !== undefined && !(error instanceof ClosedError)) {
      const from = [...(deliveries.endpoints ?? [])];
      log.warn({ ...fields, from, error: describeError(error) }, 'a blob did not arrive');
    } else {
      log.debug(fields, 'a blob has arrived, or waits for somebody to read it');
    }
    this.makeRoom();
  }

  #flightPasses({ digest, registry, blob }: Flight, error: Error | undefined): void {
    const fields = { upstream: registry.name, digest, bytes: blob.size, error: error?.message };
    this.#parts.log.warn(fields, 'there is no room for a blob: it is passed on, and not kept');
  }
}
