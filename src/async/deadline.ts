import type { Cancel, Clock } from './clock.ts';

/** An `AbortSignal` that fires when nothing has happened for too long. Cheap enough to be set for every chunk. */
export class Deadline {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #expired: () => Error;
  #due = Number.POSITIVE_INFINITY;
  /** When the timer that runs will fire. */
  #wakesAt = Number.POSITIVE_INFINITY;
  #cancel: Cancel = () => {};
  /** Aborts when the deadline passes, and with `outer`. */
  readonly signal: AbortSignal;

  /** `expired` makes the reason that `signal` aborts with. */
  constructor(clock: Clock, expired: () => Error, outer?: AbortSignal) {
    this.#clock = clock;
    this.#expired = expired;
    this.signal = outer ? AbortSignal.any([this.#controller.signal, outer]) : this.#controller.signal;
  }

  /** From now on there are `ms` milliseconds (> 0). */
  set(ms: number): void {
    this.#due = this.#clock.now() + ms;
    // A timer that fires before is left alone: it will wait for the rest.
    if (this.#wakesAt <= this.#due) return;
    this.#cancel();
    this.#wakesAt = this.#due;
    this.#cancel = this.#clock.after(ms, () => this.#check());
  }

  /** No deadline until `set` is called again. */
  pause(): void {
    this.#due = Number.POSITIVE_INFINITY;
  }

  /** No deadline any more, and no timer. */
  clear(): void {
    this.pause();
    this.#cancel();
    this.#wakesAt = Number.POSITIVE_INFINITY;
  }

  #check(): void {
    this.#wakesAt = Number.POSITIVE_INFINITY;
    const left = this.#due - this.#clock.now();
    if (left === Number.POSITIVE_INFINITY) return;
    if (left > 0) this.set(left);
    else this.#controller.abort(this.#expired());
  }
}
