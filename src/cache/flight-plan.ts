import type { Digest } from '../oci/digest.ts';
import type { Ingest, Piece } from '../storage/driver.ts';
import type { Registry } from '../upstream/registry.ts';

/** What is fetched. */
export interface FlightPlan {
  readonly registry: Registry;
  readonly digest: Digest;
  /** Bytes, where a descriptor says so. */
  readonly size: number | undefined;
  /** The name of the arriving content in storage. */
  readonly name: string;
  readonly ingest: Ingest;
  /** What an earlier flight left, not checked yet. */
  readonly recorded: readonly Piece[];
}
