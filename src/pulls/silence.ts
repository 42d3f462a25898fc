import type { Clock } from '../async/clock.ts';

/** The longest time without a byte on any of several streams, while at least one of them could take some. */
export class Silence {
  readonly #clock: Clock;
  #able = 0;
  #since = 0;
  #longest = 0;
  #brokenAt: number | undefined;
  #sinceContent = 0;
  /** When nobody was able any more. */
  #blockedAt = 0;
  #longestUndripped = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One more stream can take bytes. */
  enter(): void {
    if (this.#able++ > 0) return;
    this.#since = this.#clock.now();
    this.#sinceContent += this.#since - this.#blockedAt;
  }

  /** One stream less can. */
  leave(): void {
    this.#longest = this.longest;
    this.#longestUndripped = this.longestUndripped;
    if (--this.#able === 0) this.#blockedAt = this.#clock.now();
  }

  /** Bytes flow. */
  broken(): void {
    this.dripped();
    this.#longestUndripped = this.longestUndripped;
    this.#sinceContent = this.#since;
    this.#blockedAt = this.#since;
  }

  /** A single byte flows, and only to break the silence. */
  dripped(): void {
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

  /** What the longest silence would be, had nobody broken it on purpose. */
  get longestUndripped(): number {
    if (this.#able === 0) return this.#longestUndripped;
    return Math.max(this.#longestUndripped, this.#clock.now() - this.#sinceContent);
  }
}
