import { setImmediate } from 'node:timers/promises';

/** So many bytes may wait to be written before their source is made to wait too. */
const maxWaiting = 1024 * 1024;
/** A write of so many bytes is not worth waiting for more. */
const enough = 512 * 1024;
/** For so many turns of the event loop a write waits for more: well below a millisecond when nothing else goes on. */
const turns = 8;

/**
 * Writes a stream of buffers one behind the other: while one write runs, what comes meanwhile is gathered for the next,
 * so a fast source makes few large writes and a slow one loses no time.
 */
export class WriteBehind {
  readonly #write: (start: number, buffers: readonly Buffer[]) => Promise<void>;
  #position: number;
  #waiting: Buffer[] = [];
  #bytes = 0;
  #running: Promise<void> | undefined;
  #failure: { readonly cause: unknown } | undefined;

  /** The first byte goes to `start`. */
  constructor(start: number, write: (start: number, buffers: readonly Buffer[]) => Promise<void>) {
    this.#position = start;
    this.#write = write;
  }

  /** Takes one more buffer; resolves when the next may come. @throws what a write threw: after that, nothing is written. */
  async push(buffer: Buffer): Promise<void> {
    this.#check();
    this.#waiting.push(buffer);
    this.#bytes += buffer.length;
    this.#running ??= this.#run();
    while (this.#bytes > maxWaiting && this.#running !== undefined) await this.#running;
    this.#check();
  }

  /** Resolves when all that was taken is written. @throws what a write threw. */
  async flush(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    this.#check();
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        // A write costs more by its being one than by its bytes.
        for (let turn = 0; turn < turns && this.#bytes < enough; turn++) await setImmediate();
        const buffers = this.#waiting;
        this.#waiting = [];
        await this.#write(this.#position, buffers);
        const written = buffers.reduce((sum, { length }) => sum + length, 0);
        this.#position += written;
        this.#bytes -= written;
      }
    } catch (cause) {
      this.#failure = { cause };
    } finally {
      this.#running = undefined;
    }
  }

  #check(): void {
    if (this.#failure) throw this.#failure.cause;
  }
}
