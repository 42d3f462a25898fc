import type { Cancel, Clock } from './clock.ts';

/** Notices when nothing has happened for too long. Cheap enough to be told of every chunk. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #silent: () => void;
  #due = Number.POSITIVE_INFINITY;
  /** When the timer that runs will fire. */
  #wakesAt = Number.POSITIVE_INFINITY;
  #cancel: Cancel = () => {};

  /** `silent` is called once for each wait that was too long. */
  constructor(clock: Clock, silent: () => void) {
    this.#clock = clock;
    this.#silent = silent;
  }

  /** From now on something is waited for, for `ms` milliseconds (> 0); what was waited for before has come. */
  wait(ms: number): void {
    this.#due = this.#clock.now() + ms;
    // A timer that fires before is left alone: it will wait for the rest.
    if (this.#wakesAt <= this.#due) return;
    this.#cancel();
    this.#wakesAt = this.#due;
    this.#cancel = this.#clock.after(ms, () => this.#check());
  }

  /** Nothing is waited for until `wait` is called again. */
  pause(): void {
    this.#due = Number.POSITIVE_INFINITY;
  }

  /** Nothing is waited for any more, and there is no timer. */
  stop(): void {
    this.pause();
    this.#cancel();
    this.#wakesAt = Number.POSITIVE_INFINITY;
  }

  #check(): void {
    this.#wakesAt = Number.POSITIVE_INFINITY;
    const left = this.#due - this.#clock.now();
    if (left === Number.POSITIVE_INFINITY) return;
    if (left > 0) {
      this.wait(left);
      return;
    }
    this.pause();
    this.#silent();
  }
}
