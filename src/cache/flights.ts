import { randomUUID } from 'node:crypto';
import type { Clock } from '../async/clock.ts';
import { SingleFlight } from '../async/singleflight.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Digest, hexOf } from '../oci/digest.ts';
import type { StorageDriver } from '../storage/driver.ts';
import type { Registry } from '../upstream/registry.ts';
import type { Route } from '../upstream/routes.ts';
import { Flight } from './flight.ts';
import { type FlightView, viewFlight } from './flight-view.ts';
import { Scheduler, type SchedulerEvents } from './scheduler.ts';

/** What flights need. */
export interface FlightsContext {
  readonly clock: Clock;
  readonly storage: StorageDriver;
  readonly catalog: Catalog;
  /** Milliseconds: see `cache.idleFlight`. */
  readonly idleFlight: number;
  /** What the scheduler of an upstream reports to. */
  events(registry: Registry): SchedulerEvents;
  /** A flight is over: `error` is why, where the blob did not land in storage. */
  ended(flight: Flight, error: unknown): void;
}

/** All blobs that are arriving: one flight for each upstream and descriptor, whoever asks for it. */
export class Flights {
  readonly #context: FlightsContext;
  readonly #schedulers = new Map<Registry, Scheduler>();
  readonly #flights = new Set<Flight>();
  readonly #starts = new SingleFlight<Flight>();

  constructor(context: FlightsContext) {
    this.#context = context;
  }

  /** How many there are. */
  get size(): number {
    return this.#flights.size;
  }

  /**
   * The flight of this blob: joined where there is one, started where there is none. The caller must have found that the
   * repository may read the blob. Descriptors that disagree about the size are different flights: one of them will fail.
   * @throws StorageError
   */
  async join(route: Route, digest: Digest, size: number | undefined): Promise<{ flight: Flight; joined: boolean }> {
    const { registry, repository } = route;
    const running = this.#find(registry, digest, size);
    // One that is ending lets go of its file first; one that has landed can still be read.
    if (running?.signal.aborted && !running.blob.verified) {
      await running.over;
      return this.join(route, digest, size);
    }
    const start = () => this.#start(registry, digest, size);
    const flight = running ?? (await this.#starts.run(`${registry.name} ${digest} ${size}`, start));
    flight.approach.add(registry.blob(repository, digest));
    this.#scheduler(registry).pump();
    return { flight, joined: running !== undefined };
  }

  /** What is arriving. */
  views(): FlightView[] {
    return [...this.#flights].map(viewFlight);
  }

  /** Whether this has come, whole and right, and is about to be stored. */
  hasLanded(digest: Digest): boolean {
    return [...this.#flights].some((flight) => flight.digest === digest && flight.blob.verified);
  }

  /** Whether a flight is writing to this content of storage. */
  isArriving(name: string): boolean {
    return [...this.#flights].some((flight) => flight.name === name);
  }

  /** Ends all flights; what they hold is recorded. */
  async close(): Promise<void> {
    await Promise.all([...this.#flights].map((flight) => flight.end(new ClosedError('the mirror is closing'))));
  }

  /** Where a size is not known, any other will do. Verified content is anybody's, whatever upstream it came from. */
  #find(registry: Registry, digest: Digest, size: number | undefined): Flight | undefined {
    return [...this.#flights].find((flight) => {
      if (flight.digest !== digest || (flight.registry !== registry && !flight.blob.verified)) return false;
      return size === undefined || flight.blob.size === undefined || flight.blob.size === size;
    });
  }

  async #start(registry: Registry, digest: Digest, size: number | undefined): Promise<Flight> {
    const { catalog, clock, storage, idleFlight } = this.#context;
    const known = size === undefined ? undefined : catalog.partials.find(registry.name, digest, size);
    const name = known?.name ?? `${hexOf(digest)}.${randomUUID().slice(0, 8)}`;
    const ingest = await storage.ingest(name, digest);
    const recorded = known === undefined ? [] : catalog.partials.pieces(name);
    const scheduler = this.#scheduler(registry);
    const plan = { registry, digest, size, name, ingest, recorded };
    const flight = new Flight(plan, {
      clock,
      catalog,
      idleAfter: idleFlight,
      wanted: () => scheduler.pump(),
      ended: (ended, error) => {
        this.#flights.delete(ended);
        this.#context.ended(ended, error);
      },
    });
    this.#flights.add(flight);
    scheduler.enlist(flight);
    flight.start();
    return flight;
  }

  #scheduler(registry: Registry): Scheduler {
    const known = this.#schedulers.get(registry);
    if (known !== undefined) return known;
    const { clock } = this.#context;
    const scheduler = new Scheduler(registry, clock, this.#context.events(registry));
    this.#schedulers.set(registry, scheduler);
    return scheduler;
  }
}

/** The mirror is closing: nothing more will come. */
export class ClosedError extends Error {
  override readonly name = 'ClosedError';
}
