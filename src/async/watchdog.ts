import type { Cancel, Clock } from './clock.ts';

/** Notices silences. Cheap enough to be told of every chunk. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #silent: () => void;
  #cancel: Cancel | undefined;
  #due = Number.POSITIVE_INFINITY;

  /** `silent` is called once for each silence of `ms` milliseconds (> 0). Nothing counts before the first `wait`. */
  constructor(clock: Clock, ms: number, silent: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#silent = silent;
  }

  /** From now on, something is waited for; whatever was waited for before has come. */
  wait(): void {
    this.#due = this.#clock.now() + this.#ms;
    // A timer that is running is left alone: when it fires, it waits for the rest.
    this.#cancel ??= this.#clock.after(this.#ms, () => this.#check());
  }

  /** Nothing is waited for until `wait` is called again. */
  pause(): void {
    this.#due = Number.POSITIVE_INFINITY;
  }

  /** No timer any more. */
  stop(): void {
    this.pause();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #check(): void {
    this.#cancel = undefined;
    const left = this.#due - this.#clock.now();
    if (left === Number.POSITIVE_INFINITY) return;
    if (left > 0) {
      this.#cancel = this.#clock.after(left, () => this.#check());
      return;
    }
    this.pause();
    this.#silent();
  }
}
