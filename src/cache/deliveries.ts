import type { Clock } from '../async/clock.ts';

/** Milliseconds over which a rate is measured, and then once more. */
const period = 2000;

/** What one flight has been brought, by whom, and how fast. */
export class Deliveries {
  readonly #clock: Clock;
  readonly #endpoints = new Set<string>();
  readonly #hadSome: boolean;
  #attempts = 0;
  #last: string | undefined;
  #periodAt: number;
  #bytes = 0;
  #bytesBefore = 0;

  /** `hadSome`: some of the blob was there before. */
  constructor(clock: Clock, hadSome: boolean) {
    this.#hadSome = hadSome;
    this.#clock = clock;
    this.#periodAt = clock.now();
  }

  /** Requests that were made for it. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Every endpoint that has brought any of it; `undefined` where it is not known who has brought some. */
  get endpoints(): ReadonlySet<string> | undefined {
    return this.#hadSome ? undefined : this.#endpoints;
  }

  /** The endpoint that was asked last. */
  get last(): string | undefined {
    return this.#last;
  }

  /** Bytes per second, lately. */
  get rate(): number {
    this.#turn();
    const ms = period + this.#clock.now() - this.#periodAt;
    return Math.round(((this.#bytesBefore + this.#bytes) * 1000) / ms);
  }

  /** An endpoint is asked. */
  asked(endpoint: string): void {
    this.#attempts++;
    this.#last = endpoint;
  }

  /** It has brought so many bytes. */
  received(endpoint: string, bytes: number): void {
    this.#turn();
    this.#endpoints.add(endpoint);
    this.#bytes += bytes;
  }

  #turn(): void {
    const passed = this.#clock.now() - this.#periodAt;
    if (passed < period) return;
    this.#bytesBefore = passed < 2 * period ? this.#bytes : 0;
    this.#bytes = 0;
    this.#periodAt += passed - (passed % period);
  }
}
