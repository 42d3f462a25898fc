import type { Interval } from '../http/range.ts';
import type { Digest } from '../oci/digest.ts';
import type { Claims } from './claims.ts';
import type { InflightBlob } from './inflight.ts';
import type { InflightReader } from './reader.ts';
import { type Want, wantFor, wantOf } from './wants.ts';
import { Window, type WindowBudget } from './window.ts';

/** The blob that is passed through. */
export interface PassedBlob {
  readonly digest: Digest;
  readonly blob: Pick<InflightBlob, 'size' | 'readers' | 'held' | 'ingest'>;
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
    const needed = () => [...this.#positions(), ...(this.#wholeReaders.length > 0 ? [this.window.hashed] : [])];
    const { held, ingest } = passed.blob;
    const events = { needed, dropped: (run: Interval) => passed.dropped(run) };
    this.window = new Window(passed.digest, budget, events, { held, below: ingest });
  }

  /** How far a reader at this offset is served ahead. */
  horizon(position: number): number {
    const { readers, size } = this.#passed.blob;
    return Math.min(size ?? Number.POSITIVE_INFINITY, position + this.window.ahead(readers.size));
  }

  /** What is to be fetched, of what nobody is fetching. */
  wants(claims: Claims): (Want | undefined)[] {
    const readers = [...this.#passed.blob.readers];
    const needs = [...this.#needsAgain(readers), ...this.#needsOfDigest()];
    return [
      ...readers.map((reader) => wantOf(reader, claims, this.horizon(reader.position))),
      ...needs.map(({ reader, interval, isWaitedFor }) => {
        const gap = claims.gap(interval);
        return gap && wantFor(gap, reader, isWaitedFor);
      }),
    ];
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
    const { hashed } = this.window;
    return position > this.horizon(hashed) && this.#passed.blob.held.endOfRun(hashed) > hashed;
  }

  #positions(): number[] {
    return [...this.#passed.blob.readers].map(({ position }) => position);
  }

  /** What comes again can be read when all of it is there that could be before. */
  #needsAgain(readers: readonly InflightReader[]): Need[] {
    return readers
      .filter(({ waiting }) => waiting)
      .flatMap((reader) =>
        this.window.hidden(reader.position).map((interval) => ({ reader, interval, isWaitedFor: true })),
      );
  }

  /** What has to be hashed for those who have read it already: the others bring it themselves. */
  #needsOfDigest(): Need[] {
    const { hashed } = this.window;
    const ahead = this.#wholeReaders.filter(({ position }) => position > hashed);
    const waiting = ahead.find((each) => this.#waitsForDigest(each));
    const reader = waiting ?? ahead[0];
    if (reader === undefined) return [];
    const end = Math.min(this.horizon(hashed), ...ahead.map(({ position }) => position));
    const isWaitedFor = waiting !== undefined;
    return [...this.window.hidden(hashed), { start: hashed, end }].map((interval) => ({
      reader,
      interval,
      isWaitedFor,
    }));
  }

  #waitsForDigest({ position, waiting }: InflightReader): boolean {
    return waiting && position + 1 === this.#passed.blob.size;
  }

  get #wholeReaders(): InflightReader[] {
    return [...this.#passed.blob.readers].filter(({ demand }) => demand.whole);
  }
}

/** Bytes that are fetched for the sake of a reader that has passed them, or cannot read them yet. */
interface Need {
  readonly reader: InflightReader;
  readonly interval: Interval;
  /** Whether the reader can do nothing else. */
  readonly isWaitedFor: boolean;
}
