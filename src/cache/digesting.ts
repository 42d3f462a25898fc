import type { Piece } from '../storage/driver.ts';
import type { InflightBlob } from './inflight.ts';

/** So much is hashed in one go, so that several blobs share the hashing thread fairly. */
const slice = 16 * 1024 * 1024;

/** What becomes known while a blob is hashed. */
export interface DigestingEvents {
  /** Whole chunks were passed. */
  passed(pieces: readonly Piece[]): void;
  /** All of it is there, and this is its digest in hexadecimal. */
  hashed(hex: string): void;
  /** It cannot be read. */
  failed(error: unknown): void;
}

/** Computes the digest of an arriving blob, in order, as its contiguous front advances; off the serving thread. */
export class Digesting {
  readonly #blob: InflightBlob;
  readonly #events: DigestingEvents;
  #running = false;
  #ended = false;

  constructor(blob: InflightBlob, events: DigestingEvents) {
    this.#blob = blob;
    this.#events = events;
  }

  /** Bytes may have come, or the size may have become known. */
  advance(): void {
    if (this.#running || this.#ended) return;
    this.#running = true;
    this.#run().catch((error) => this.#end(() => this.#events.failed(error)));
  }

  /** Waits for no more; nothing is reported after this. */
  stop(): void {
    this.#ended = true;
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      // Diverted, it is hashed by whoever has it now, from the start.
      const { held, ingest, size } = this.#blob;
      const { hashed } = ingest;
      const front = held.endOfRun(hashed);
      if (front > hashed) {
        const pieces = await ingest.hash(Math.min(front, hashed + slice));
        if (!this.#ended) this.#events.passed(pieces);
      } else if (hashed === size) {
        const { hex, tail } = await ingest.digest();
        this.#end(() => {
          if (tail) this.#events.passed([tail]);
          this.#events.hashed(hex);
        });
      } else {
        // Not a moment later: what comes from now on has to start it again.
        this.#running = false;
        return;
      }
    }
  }

  #end(report: () => void): void {
    if (this.#ended) return;
    this.#ended = true;
    report();
  }
}
