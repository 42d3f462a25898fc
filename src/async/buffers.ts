const largest = 1024 * 1024;
const smallest = 16 * 1024;

/**
 * The one budget that every byte on its way through the process comes from. Pieces shrink as streams grow, so that the
 * sum stays within the budget whatever the number of clients.
 */
export class BufferBudget {
  readonly #limit: number;
  readonly #free = new Map<number, Buffer[]>();
  #streams = 0;
  #idle = 0;

  /** `limit` in bytes: what all streams together may hold. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts one more stream; call what is returned, once, when it has ended. */
  join(): () => void {
    this.#streams++;
    return () => {
      this.#streams--;
    };
  }

  /** How many streams there are. */
  get streams(): number {
    return this.#streams;
  }

  /** How many bytes one stream should move at a time, now: a power of two between 16 KiB and 1 MiB. */
  get piece(): number {
    const share = this.#limit / Math.max(1, 2 * this.#streams);
    return Math.min(largest, Math.max(smallest, 2 ** Math.floor(Math.log2(share))));
  }

  /** A buffer of at least `bytes` (≤ 1 MiB), its content arbitrary. Give it back with `release`. */
  lease(bytes: number): Buffer {
    const size = Math.min(largest, Math.max(smallest, 2 ** Math.ceil(Math.log2(bytes))));
    const free = this.#free.get(size)?.pop();
    if (free === undefined) return Buffer.allocUnsafeSlow(size);
    this.#idle -= size;
    return free;
  }

  /** Takes a leased buffer back. Nothing may use it afterwards. */
  release(buffer: Buffer): void {
    // Idle memory is kept for the next stream, but only a quarter of the budget of it.
    if (this.#idle + buffer.length > this.#limit / 4) return;
    this.#idle += buffer.length;
    const free = this.#free.get(buffer.length);
    if (free === undefined) this.#free.set(buffer.length, [buffer]);
    else free.push(buffer);
  }
}
