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
  #leased = 0;
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
      if (this.#streams === 0) this.#trim(this.#limit / 4);
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
    this.#leased += size;
    if (free !== undefined) {
      this.#idle -= size;
      return free;
    }
    // Buffers of a size that nobody asks for any more make room for those that are asked for.
    this.#trim(Math.max(0, this.#limit - this.#leased));
    return Buffer.allocUnsafeSlow(size);
  }

  /** Takes a leased buffer back. Nothing may use it afterwards. */
  release(buffer: Buffer): void {
    const size = buffer.length;
    this.#leased -= size;
    const most = this.#streams === 0 ? this.#limit / 4 : this.#limit - this.#leased;
    if (this.#idle + size > most) return;
    this.#idle += size;
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [buffer]);
    else free.push(buffer);
  }

  /** Lets go of idle buffers until no more than `most` bytes are left of them. */
  #trim(most: number): void {
    for (const [size, free] of this.#free) {
      while (this.#idle > most && free.pop() !== undefined) this.#idle -= size;
    }
  }
}
