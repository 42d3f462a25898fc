import type { Clock } from './clock.ts';
import { Watchdog } from './watchdog.ts';

/** An `AbortSignal` that fires when nothing has happened for too long. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #watchdog: Watchdog;
  /** Aborts when the deadline passes, and with `outer`. */
  readonly signal: AbortSignal;

  /** `expired` makes the reason that `signal` aborts with. */
  constructor(clock: Clock, expired: () => Error, outer?: AbortSignal) {
    this.#watchdog = new Watchdog(clock, () => this.#controller.abort(expired()));
    this.signal = outer ? AbortSignal.any([this.#controller.signal, outer]) : this.#controller.signal;
  }

  /** From now on there are `ms` milliseconds (> 0). */
  set(ms: number): void {
    this.#watchdog.wait(ms);
  }

  /** No deadline until `set` is called again. */
  pause(): void {
    this.#watchdog.pause();
  }

  /** No deadline any more, and no timer. */
  clear(): void {
    this.#watchdog.stop();
  }
}
