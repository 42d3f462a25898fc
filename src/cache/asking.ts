import { abortable } from '../async/abortable.ts';
import type { Clock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import { SingleFlight } from '../async/singleflight.ts';
import { UpstreamError } from '../upstream/errors.ts';

/** An answer, even an error, comes within this: clients turn to the next mirror only then. */
const patience = 7500;

/** Questions to upstreams: everyone who asks the same waits for the same answer, and no longer than clients do. */
export class Asking<V> {
  readonly #clock: Clock;
  readonly #running = new SingleFlight<V>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Joins the question under `key`, or asks it. `upstream` is whom the error names when no answer came in time.
   * @throws what `work` throws; UpstreamError `timeout` within 8 s; the signal's reason.
   */
  ask(upstream: string, key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<V>): Promise<V> {
    const running = this.#running.run(key, async () => {
      const deadline = new Deadline(this.#clock, () => new UpstreamError(upstream, 'timeout', 'no answer in time'));
      deadline.set(patience);
      try {
        return await work(deadline.signal);
      } finally {
        deadline.clear();
      }
    });
    return abortable(running, signal);
  }
}
