import { randomUUID } from 'node:crypto';
import type { Clock } from '../async/clock.ts';
import { SingleFlight } from '../async/singleflight.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Digest, hexOf } from '../oci/digest.ts';
import { IntegrityError } from '../oci/errors.ts';
import { type StorageDriver, StorageError } from '../storage/driver.ts';
import { offline, type Registry } from '../upstream/registry.ts';
import type { Route } from '../upstream/routes.ts';
import { Flight } from './flight.ts';
import type { FlightPlan } from './flight-plan.ts';
import { type FlightView, viewFlight } from './flight-view.ts';
import { Nowhere } from './nowhere.ts';
import type { Recent } from './recent.ts';
import { Scheduler, type SchedulerEvents } from './scheduler.ts';
import type { Room, Space } from './space.ts';
import { type Precaution, Suspects } from './suspects.ts';
import type { Uses } from './uses.ts';
import { WindowBudget } from './window.ts';

/** What flights need. */
export interface FlightsContext {
  readonly clock: Clock;
  readonly storage: StorageDriver;
  readonly catalog: Catalog;
  /** Milliseconds: see `cache.idleFlight`. */
  readonly idleFlight: () => number;
  readonly space: Pick<Space, 'reserve'>;
  readonly uses: Uses;
  readonly recent: Recent;
  /** What the scheduler of an upstream reports to. */
  events(registry: Registry): SchedulerEvents;
  /** A flight is over: `error` is why, where the blob did not land in storage. */
  ended(flight: Flight, error: unknown): void;
  /** Nothing of it is kept, for want of room or because of `error`. */
  passes(flight: Flight, error: StorageError | undefined): void;
}

type Place = Pick<FlightPlan, 'ingest' | 'room' | 'unkept'>;

/** Bytes that a first span has at most. How large a blob is, a manifest only claims: nothing goes for that. */
const firstRoom = 256 * 1024;

/** All blobs that are arriving: one flight for each upstream and descriptor, whoever asks for it. */
export class Flights {
  readonly #context: FlightsContext;
  readonly #schedulers = new Map<Registry, Scheduler>();
  readonly #flights = new Set<Flight>();
  readonly #starts = new SingleFlight<Flight>();
  readonly #starting = new Set<Promise<Flight>>();
  #closed = false;
  readonly #windows = new WindowBudget();
  readonly #suspects: Suspects;

  constructor(context: FlightsContext) {
    this.#context = context;
    this.#suspects = new Suspects(context.clock);
  }

  /** How many there are. */
  get size(): number {
    return this.#flights.size;
  }

  /**
   * The flight of this blob: joined where there is one, started where there is none. The caller must have found that the
   * repository may read the blob. Descriptors that disagree about the size are different flights: one of them will fail.
   * @throws StorageError; UpstreamError where the upstream is never asked; ClosedError
   */
  async join(route: Route, digest: Digest, size: number | undefined): Promise<{ flight: Flight; joined: boolean }> {
    const { registry, repository } = route;
    if (this.#closed) throw new ClosedError('the mirror is closing');
    const running = this.#find(registry, digest, size);
    if (running === undefined && registry.settings.offline) throw offline(registry.name);
    // One that is ending lets go of its file first; one that has landed can still be read.
    if (running?.readable === false) {
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
    return [...this.#flights].some((flight) => flight.digest === digest && flight.landed);
  }

  /** Ends all flights; what they hold is recorded. None begins any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#starting);
    await Promise.all([...this.#flights].map((flight) => flight.end(new ClosedError('the mirror is closing'))));
  }

  /** Where a size is not known, any other will do. Verified content is anybody's, whatever upstream it came from. */
  #find(registry: Registry, digest: Digest, size: number | undefined): Flight | undefined {
    return [...this.#flights].find((flight) => {
      if (flight.digest !== digest || (flight.registry !== registry && !flight.landed)) return false;
      return size === undefined || flight.blob.size === undefined || flight.blob.size === size;
    });
  }

  async #start(registry: Registry, digest: Digest, size: number | undefined): Promise<Flight> {
    const precaution = this.#suspects.precaution(registry, digest);
    const { uses } = this.#context;
    const letGo = uses.hold(digest);
    const starting = this.#takeOff(registry, digest, size, precaution, letGo);
    this.#starting.add(starting);
    try {
      return await starting;
    } catch (error) {
      letGo();
      throw error;
    } finally {
      this.#starting.delete(starting);
    }
  }

  async #takeOff(
    registry: Registry,
    digest: Digest,
    size: number | undefined,
    precaution: Precaution,
    closed: () => void,
  ): Promise<Flight> {
    const { catalog, clock, idleFlight } = this.#context;
    const known = size === undefined ? undefined : catalog.partials.find(registry.name, digest, size);
    const fresh = `${hexOf(digest)}.${randomUUID().slice(0, 8)}`;
    const place = await this.#place(known?.name ?? fresh, digest, Math.min(size ?? firstRoom, firstRoom));
    // Where it cannot go on with what is there, that stays as it is, for another time.
    const name = place.unkept ? fresh : (known?.name ?? fresh);
    const recorded = catalog.partials.pieces(name);
    const scheduler = this.#scheduler(registry);
    const plan = { registry, digest, size, name, recorded, precaution, ...place };
    const flight: Flight = new Flight(plan, {
      clock,
      catalog,
      idleAfter: idleFlight(),
      windows: this.#windows,
      recent: this.#context.recent,
      wanted: () => scheduler.pump(),
      passes: (error) => this.#context.passes(flight, error),
      closed,
      ended: (error) => {
        this.#flights.delete(flight);
        this.#judge(flight, error);
        this.#context.ended(flight, error);
      },
    });
    this.#flights.add(flight);
    scheduler.enlist(flight);
    flight.start();
    return flight;
  }

  /** Where a blob is written, with room for its first span; nowhere, and why, where that cannot be. */
  async #place(name: string, digest: Digest, first: number): Promise<Place> {
    const { space, storage } = this.#context;
    let room: Room | undefined;
    try {
      room = await space.reserve(name, first);
      if (room === undefined) throw new StorageError('ENOSPC', 'there is no room');
      return { room, ingest: await storage.ingest(name, digest), unkept: undefined };
    } catch (error) {
      room?.release();
      if (!(error instanceof StorageError)) throw error;
      return { room: undefined, ingest: new Nowhere(), unkept: error };
    }
  }

  /** Where it is not known who sent wrong bytes, the blob is fetched again, until it is. */
  #judge({ registry, digest, approach, blob, deliveries }: Flight, error: unknown): void {
    if (blob.verified) this.#suspects.clear(registry, digest);
    if (!(error instanceof IntegrityError) || !this.#suspects.blame(registry, digest, deliveries.endpoints)) return;
    const { repository } = approach;
    if (repository !== undefined) this.#fetchAgain({ registry, repository }, digest, blob.size).catch(() => {});
  }

  async #fetchAgain(route: Route, digest: Digest, size: number | undefined): Promise<void> {
    const { flight } = await this.join(route, digest, size);
    const forget = flight.expect({ share: { servedAt: 0 }, layer: 0 });
    await flight.over;
    forget();
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
