import type { Interval } from '../http/range.ts';
import type { Digest } from '../oci/digest.ts';
import type { InflightBlob } from './inflight.ts';
import { Window, type WindowBudget } from './window.ts';

/** The blob that is passed through. */
export interface PassedBlob {
  readonly digest: Digest;
  readonly blob: Pick<InflightBlob, 'size' | 'readers' | 'held' | 'ingest'>;
  /** Up to where its digest is computed. */
  hashed(): number;
  /** These bytes are no longer held: who needs them fetches them again. */
  dropped(interval: Interval): void;
}

/** A blob that there is no room for: only what its readers need next is fetched, and nothing is kept. */
export class Passing {
  readonly window: Window;
  readonly #passed: PassedBlob;
  #wake = Promise.withResolvers<void>();

  constructor(passed: PassedBlob, budget: WindowBudget) {
    this.#passed = passed;
    const needed = () => [...this.#positions(), ...(this.#isWhole ? [passed.hashed()] : [])];
    const events = { needed, dropped: (run: Interval) => passed.dropped(run) };
    this.window = new Window(passed.digest, budget, events, passed.blob.ingest);
  }

  /** How far a reader at this offset is served ahead. */
  horizon(position: number): number {
    const { readers, size } = this.#passed.blob;
    return Math.min(size ?? Number.POSITIVE_INFINITY, position + this.window.ahead(readers.size));
  }

  /** What is needed for the digest alone: what all who wait for that have not read themselves. */
  get unread(): Interval {
    const hashed = this.#passed.hashed();
    const whole = [...this.#passed.blob.readers].filter(({ demand }) => demand.whole).map(({ position }) => position);
    return { start: hashed, end: this.#isWhole ? Math.min(this.horizon(hashed), ...whole) : hashed };
  }

  /** A stream that cannot be asked for in parts waits here for its readers: it goes no further ahead than they need. */
  async turn(position: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (this.#outruns(position) || position > this.#reach())) await this.#wake.promise;
  }

  /** Readers wait, have come or gone, more is hashed, or all is over. */
  wake(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** How far readers come; as far as can be, where one has nothing to read. */
  #reach(): number {
    const isWaited = [...this.#passed.blob.readers].some(({ waiting }) => waiting);
    return isWaited ? Number.POSITIVE_INFINITY : this.horizon(Math.max(0, ...this.#positions()));
  }

  /** Whether what comes would take the place of what has not been hashed yet, and can be. */
  #outruns(position: number): boolean {
    const hashed = this.#passed.hashed();
    return position > this.horizon(hashed) && this.#passed.blob.held.endOfRun(hashed) > hashed;
  }

  #positions(): number[] {
    return [...this.#passed.blob.readers].map(({ position }) => position);
  }

  get #isWhole(): boolean {
    return [...this.#passed.blob.readers].some(({ demand }) => demand.whole);
  }
}
