import { abortable } from '../async/abortable.ts';
import type { Interval } from '../http/range.ts';
import type { StoredBlob } from '../storage/driver.ts';
import { IntervalSet } from './spans.ts';

/** Bytes as one response reads them: wherever they are, and whether or not they are there yet. */
export interface BlobReader {
  /** The offset behind the last byte to read; `undefined` while the size of the blob is not known. */
  readonly end: number | undefined;
  /** The offset up to which bytes can be read now, from `position` on; `position` itself when there are none. */
  ready(position: number): number;
  /**
   * Waits until there is a byte at `position`, or until it is known that the content ends there.
   * @throws what made the blob fail; the signal's reason.
   */
  arrival(position: number, signal: AbortSignal): Promise<void>;
  /** Ends a wait for an arrival before its time: it resolves, and whoever waits looks again. */
  wake(): void;
  /**
   * Fills `buffer` from `position` on, no further than `ready` says.
   * @returns the bytes read. @throws StorageError
   */
  read(buffer: Buffer, position: number): Promise<number>;
  /** Leaves the blob. It goes on without this reader. */
  close(): Promise<void>;
}

/** Reads what is in storage. */
export class StoredReader implements BlobReader {
  readonly #blob: StoredBlob;
  readonly end: number;

  constructor(blob: StoredBlob, end: number) {
    this.#blob = blob;
    this.end = end;
  }

  ready(): number {
    return this.end;
  }

  arrival(): Promise<void> {
    return Promise.resolve();
  }

  wake(): void {}

  read(buffer: Buffer, position: number): Promise<number> {
    return this.#blob.read(buffer, position);
  }

  close(): Promise<void> {
    return this.#blob.close();
  }
}

/** What a reader asks of a blob that is arriving. */
export interface Demand extends Turn {
  /** What it reads, the first one first. An infinite end is the end of the blob, wherever that is. */
  readonly intervals: readonly Interval[];
  /** Whether this takes the last byte of the blob with it, so that the client holds it for complete: then that byte waits for the digest. */
  readonly whole: boolean;
}

/** One pull's part of the upstream. */
export interface Share {
  /** When it was given a worker last: a larger number is later, 0 is never. */
  servedAt: number;
}

/** Whose turn it is when the upstream is the bottleneck. */
export interface Turn {
  /** Who shares the upstream fairly: readers of one pull have one share. */
  readonly share: Share;
  /** The place of the blob in its pull: lower comes first. */
  readonly layer: number;
}

/** A blob that is arriving, as its readers see it. */
export interface ArrivingBlob {
  /** Bytes; `undefined` while it is not known. */
  readonly size: number | undefined;
  /** What can be read. */
  readonly readable: IntervalSet;
  /** Whether all of it is there, and hashes to its digest. */
  readonly verified: boolean;
  /** Why no more will come. */
  readonly failure: Error | undefined;
  /** A reader waits for its next byte. */
  wanted(): void;
  /** Fills `buffer` from `position` on, and returns the bytes read. @throws StorageError */
  readAt(buffer: Buffer, position: number): Promise<number>;
  /** A reader is done. */
  leave(reader: InflightReader): Promise<void>;
}

/** Bytes that a client may lag behind, and still count as taking them as they come: what is on its way to it. */
const backlog = 2 * 1024 * 1024;

/** Follows a blob that is arriving, at its own offset and pace. */
export class InflightReader implements BlobReader {
  readonly #blob: ArrivingBlob;
  readonly demand: Demand;
  /** What it has still to read. */
  readonly unread = new IntervalSet();
  readonly #last: number;
  #position: number;
  #started = false;
  #wake: (() => void) | undefined;
  #woken = false;

  /** Made by `InflightBlob.read`. */
  constructor(blob: ArrivingBlob, demand: Demand) {
    this.#blob = blob;
    this.demand = demand;
    for (const interval of demand.intervals) this.unread.add(interval);
    this.#last = this.unread.intervals.at(-1)?.end ?? 0;
    this.#position = demand.intervals[0]?.start ?? 0;
  }

  get end(): number | undefined {
    const last = Math.min(this.#last, this.#blob.size ?? Number.POSITIVE_INFINITY);
    return Number.isFinite(last) ? last : undefined;
  }

  /** Where it is now. */
  get position(): number {
    return this.#position;
  }

  /** Whether it can do nothing until its next byte is there. */
  get waiting(): boolean {
    return this.#wake !== undefined;
  }

  /** Whether it takes bytes as fast as they come: little of what is there is left to be read. */
  get keepsUp(): boolean {
    return this.waiting || this.#blob.readable.endOfRun(this.#position) - this.#position < backlog;
  }

  /** Whether it has read anything yet. */
  get started(): boolean {
    return this.#started;
  }

  ready(position: number): number {
    const run = this.#blob.readable.endOfRun(position);
    const limit = Math.min(run, this.end ?? run);
    if (!this.demand.whole || this.#blob.verified) return limit;
    return Math.max(position, Math.min(limit, (this.#blob.size ?? run) - 1));
  }

  async arrival(position: number, signal: AbortSignal): Promise<void> {
    // Whoever waits for what it has read already needs that again.
    const last = this.unread.next(position)?.start ?? this.#position;
    this.unread.add({ start: position, end: Math.min(last, this.#position) });
    this.#position = position;
    this.#woken = false;
    while (!this.#woken && !this.#arrived()) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#blob.wanted();
      try {
        await abortable(woken, signal);
      } finally {
        this.#wake = undefined;
      }
    }
  }

  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    const length = Math.min(buffer.length, this.ready(position) - position);
    const read = await this.#blob.readAt(buffer.subarray(0, length), position);
    this.#position = position + read;
    this.#started ||= read > 0;
    this.unread.remove({ start: position, end: this.#position });
    return read;
  }

  close(): Promise<void> {
    return this.#blob.leave(this);
  }

  /** Called by the blob whenever bytes have come, or its state has changed. */
  notify(): void {
    if (this.#wake !== undefined && (this.#blob.failure !== undefined || this.#isThere())) this.#wake();
  }

  #arrived(): boolean {
    if (this.#isThere()) return true;
    if (this.#blob.failure !== undefined) throw this.#blob.failure;
    return false;
  }

  #isThere(): boolean {
    if (this.ready(this.#position) > this.#position) return true;
    const ended = this.end !== undefined && this.#position >= this.end;
    return ended && (!this.demand.whole || this.#blob.verified);
  }
}
