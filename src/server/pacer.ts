import type { Cancel, Clock } from '../async/clock.ts';
import type { WatchdogSettings } from '../config/settings.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { PullStream } from '../pulls/pull-stream.ts';
import { Pace } from './pace.ts';

/** What the pacer works with. */
export interface PacerParts {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly settings: Pick<WatchdogSettings, 'drip' | 'timeout'>;
}

/** The pacer looks at those who rest this often within one drip. */
const looksPerDrip = 4;
const shortestLook = 10;

/** Keeps responses from falling silent: one timer for all that rest, and none while nobody does. */
export class Pacer {
  readonly #parts: PacerParts;
  readonly #resting = new Set<Pace>();
  #cancelLook: Cancel | undefined;

  constructor(parts: PacerParts) {
    this.#parts = parts;
  }

  /** The pace of one response. `stream`: its place in its pull, where it has one. */
  pace(stream: PullStream | undefined): Pace {
    return new Pace({
      ...this.#parts,
      stream,
      rests: (pace) => this.#add(pace),
      goesOn: (pace) => this.#resting.delete(pace),
    });
  }

  #add(pace: Pace): void {
    this.#resting.add(pace);
    this.#cancelLook ??= this.#lookLater();
  }

  #lookLater(): Cancel {
    const { clock, settings } = this.#parts;
    return clock.after(Math.max(shortestLook, settings.drip / looksPerDrip), () => {
      const now = clock.now();
      for (const pace of this.#resting) pace.look(now);
      this.#cancelLook = this.#resting.size > 0 ? this.#lookLater() : undefined;
    });
  }
}
