import type { Digest } from '../oci/digest.ts';
import type { LayerState, LayerWait } from './layer.ts';

/** How a pull ended. `partial`: the client had some of the layers already. */
export type PullOutcome = 'complete' | 'partial' | 'aborted' | 'failed';

/** How many bytes of a blob are on disk. */
export type HeldOf = (digest: Digest, size: number) => number;

/** A pull as it is shown. Durations are milliseconds. */
export interface PullView {
  /** A number among those that are shown: a later pull has a higher one. */
  readonly id: number;
  readonly client: string;
  readonly runtime: string;
  readonly version: string;
  readonly watchdog: string;
  /** The silence after which such a node gives up; `undefined` where it never does. */
  readonly timeout: number | undefined;
  readonly image: string;
  readonly digest: Digest;
  /** Wall time, ISO 8601. */
  readonly startedAt: string | undefined;
  readonly layers: readonly {
    readonly digest: Digest;
    readonly size: number;
    /** Bytes of it on disk; `undefined` when the pull is over. */
    readonly held: number | undefined;
    readonly sent: number;
    readonly state: LayerState;
    readonly waitsFor: LayerWait | undefined;
    /** How long its tail is held for, as things are; `undefined` while it is not, or others have to come first. */
    readonly heldFor: number | undefined;
    readonly drips: number;
  }[];
  readonly longestGap: number;
  readonly drips: number;
  readonly holds: number;
  /** Whether its node would have cancelled it, had it not been given single bytes, or been kept from the last ones. */
  readonly saved: boolean;
  /** Whether it was repeated as if its node had cancelled it while it unpacked. */
  readonly suspectedKill: boolean;
  /** `undefined` while it goes on. */
  readonly outcome: PullOutcome | undefined;
}
