import type { Cancel, Clock } from '../../src/async/clock.ts';

interface Timer {
  readonly due: number;
  readonly callback: () => void;
}

/** Time that passes only when a test says so. */
export class FakeClock implements Clock {
  #now = 1000;
  #wall = Date.UTC(2026, 0, 1);
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#wall;
  }

  after(ms: number, callback: () => void): Cancel {
    const timer = { due: this.#now + ms, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** How many timers are running. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets time pass; what becomes due meanwhile is called in its order, at its time. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#pass(next.due - this.#now);
      this.#timers.delete(next);
      next.callback();
    }
    this.#pass(until - this.#now);
  }

  /** Sets the system's clock forward or back; intervals are not disturbed. */
  step(ms: number): void {
    this.#wall += ms;
  }

  #next(until: number): Timer | undefined {
    const due = [...this.#timers].filter((timer) => timer.due <= until);
    return due.toSorted((a, b) => a.due - b.due)[0];
  }

  #pass(ms: number): void {
    this.#now += ms;
    this.#wall += ms;
  }
}
