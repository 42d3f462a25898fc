import type { Clock } from '../async/clock.ts';

/** The longest time without a byte on any of several streams, while at least one of them could take some. */
export class Silence {
  readonly #clock: Clock;
  #able = 0;
  #since = 0;
  #longest = 0;
  #brokenAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One more stream can take bytes. */
  enter(): void {
    if (this.#able++ === 0) this.#since = this.#clock.now();
  }

  /** One stream less can. */
  leave(): void {
    this.#longest = this.longest;
    this.#able--;
  }

  /** Bytes flow. */
  broken(): void {
    this.#longest = this.longest;
    this.#since = this.#clock.now();
    this.#brokenAt = this.#since;
  }

  /** When bytes last flowed: monotonic ms. */
  get brokenAt(): number | undefined {
    return this.#brokenAt;
  }

  /** Milliseconds, one that goes on included. */
  get longest(): number {
    return this.#able === 0 ? this.#longest : Math.max(this.#longest, this.#clock.now() - this.#since);
  }
}
