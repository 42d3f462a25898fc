import type { Clock } from '../async/clock.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Digest } from '../oci/digest.ts';
import type { Ingest, Piece, StorageError } from '../storage/driver.ts';
import type { Registry } from '../upstream/registry.ts';
import type { Recent } from './recent.ts';
import type { Room } from './space.ts';
import type { Precaution } from './suspects.ts';
import type { WindowBudget } from './window.ts';

/** What content is kept with. */
export interface KeepingContext {
  readonly clock: Clock;
  readonly catalog: Catalog;
  readonly windows: WindowBudget;
  /** From now on nothing is kept: there is no room, or `error` says why. */
  passes(error: StorageError | undefined): void;
}

/** What a flight needs of its surroundings. */
export interface FlightContext extends KeepingContext {
  readonly recent: Recent;
  /** Milliseconds without a reader after which a whole download stops. */
  readonly idleAfter: number;
  /** There may be something to fetch. */
  wanted(): void;
  /** Nobody can read it any more. */
  closed(): void;
  /** It is over: `error` is why, where the blob did not land in storage. */
  ended(error: unknown): void;
}

/** What is fetched. */
export interface FlightPlan {
  readonly registry: Registry;
  readonly digest: Digest;
  /** Bytes, where a descriptor says so. */
  readonly size: number | undefined;
  /** The name of the arriving content in storage. */
  readonly name: string;
  readonly ingest: Ingest;
  /** The room that is kept for its first span; `undefined` where it cannot be kept. */
  readonly room: Room | undefined;
  /** Why it cannot be kept; `undefined` where it can. */
  readonly unkept: StorageError | undefined;
  /** What an earlier flight left, not checked yet. */
  readonly recorded: readonly Piece[];
  readonly precaution: Precaution;
}
