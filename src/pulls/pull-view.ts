import type { Digest } from '../oci/digest.ts';
import type { LayerState } from './layer.ts';

/** How a pull ended. `partial`: the client had some of the layers already. */
export type PullOutcome = 'complete' | 'partial' | 'aborted' | 'failed';

/** A pull as it is shown. Durations are milliseconds. */
export interface PullView {
  readonly client: string;
  readonly runtime: string;
  readonly version: string;
  readonly watchdog: string;
  readonly image: string;
  readonly digest: Digest;
  /** Wall time, ISO 8601. */
  readonly startedAt: string | undefined;
  readonly layers: readonly {
    readonly digest: Digest;
    readonly size: number;
    readonly sent: number;
    readonly state: LayerState;
  }[];
  readonly longestGap: number;
  readonly drips: number;
  readonly holds: number;
  /** `undefined` while it goes on. */
  readonly outcome: PullOutcome | undefined;
}
