import { abortable } from '../async/abortable.ts';
import type { Interval } from '../http/range.ts';
import { chunkSize, type StoredBlob } from '../storage/driver.ts';
import { isShortage } from './disk-failure.ts';
import type { BlobReader } from './reader.ts';

/** How what is read is checked, and what is done where it is wrong. */
export interface Checking {
  /** The CRC-32 of each chunk, in order. */
  readonly checksums: Uint32Array;
  /** One of so many chunks is checked. */
  readonly every: number;
  /** The first one that is. */
  readonly first: number;
  /** The blob is damaged: what it is read with from now on. */
  repair(): Promise<BlobReader>;
}

/** So far ahead of where it is read it is checked, that nobody waits for that. */
const ahead = 32 * chunkSize;
/** So many chunks are checked in one go. */
const batch = 4;

/**
 * Reads what is in storage. Of chunks that are to be checked nothing is ready before they were found to be right: where
 * one is wrong, what lies before it is there to drip while it is fetched again.
 */
export class CheckedReader implements BlobReader {
  readonly #blob: StoredBlob;
  readonly #end: number;
  readonly #checking: Checking;
  readonly #right = new Set<number>();
  /** Rejected, and kept, where the blob cannot be repaired. */
  #running: Promise<void> | undefined;
  #repaired: BlobReader | undefined;
  /** What lies before the chunk that was wrong, and is still read as it is stored. */
  #before: Interval = { start: 0, end: 0 };
  #wake: (() => void) | undefined;
  #woken = false;

  constructor(blob: StoredBlob, end: number, checking: Checking) {
    this.#blob = blob;
    this.#end = end;
    this.#checking = checking;
  }

  get end(): number | undefined {
    return this.#repaired === undefined ? this.#end : this.#repaired.end;
  }

  ready(position: number): number {
    if (this.#repaired !== undefined)
      return this.#repaired.ready(this.#isBefore(position) ? this.#before.end : position);
    const index = this.#nextUnchecked(position);
    const limit = Math.min(this.#end, index * chunkSize);
    if (limit < this.#end && limit - position < ahead) this.#check(position, index);
    return Math.max(position, limit);
  }

  async arrival(position: number, signal: AbortSignal): Promise<void> {
    this.#woken = false;
    while (!this.#woken && this.#repaired === undefined && this.#isUnchecked(position)) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await abortable(Promise.race([woken, this.#running]), signal);
    }
    if (!this.#woken) await this.#repaired?.arrival(position, signal);
  }

  wake(): void {
    this.#woken = true;
    this.#wake?.();
    this.#repaired?.wake();
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    if (this.#repaired === undefined) return this.#blob.read(buffer, position);
    if (!this.#isBefore(position)) return this.#repaired.read(buffer, position);
    const { end } = this.#before;
    const read = await this.#blob.read(buffer.subarray(0, end - position), position);
    if (position + read < end || read === buffer.length) return read;
    return read + (await this.#repaired.read(buffer.subarray(read), end));
  }

  async close(): Promise<void> {
    await this.#running?.catch(() => {});
    await this.#repaired?.close();
    await this.#blob.close();
  }

  #isBefore(position: number): boolean {
    return position >= this.#before.start && position < this.#before.end;
  }

  #isUnchecked(position: number): boolean {
    return position < this.#end && this.ready(position) === position;
  }

  /** The index of the first chunk, from the one that holds `position` on, that is to be checked and was not found right. */
  #nextUnchecked(position: number): number {
    const { every, first } = this.#checking;
    const index = Math.floor(position / chunkSize);
    let due = index + ((((first - index) % every) + every) % every);
    while (this.#right.has(due)) due += every;
    return due;
  }

  /** Checks this chunk, and some of those behind it, if nothing is being checked. */
  #check(position: number, index: number): void {
    if (this.#running !== undefined) return;
    const running = this.#run(position, index).then(() => {
      this.#running = undefined;
    });
    // Whoever comes to this chunk hears of it.
    running.catch(() => {});
    this.#running = running;
  }

  async #run(position: number, index: number): Promise<void> {
    const { every, repair } = this.#checking;
    const limit = Math.min(this.#end, position + ahead, index * chunkSize + batch * chunkSize);
    const due: number[] = [];
    for (let next = index; next === index || next * chunkSize < limit; next += every) due.push(next);
    const wrong = await this.#wrongOf(due);
    for (const each of due) if (wrong === undefined || each < wrong) this.#right.add(each);
    if (wrong === undefined) return;
    this.#before = { start: position, end: wrong * chunkSize };
    this.#repaired = await repair();
  }

  /**
   * The first of these chunks that is not what it was. What cannot be read is not right either; where nothing can be
   * read just now, nothing is known to be wrong.
   */
  async #wrongOf(indexes: readonly number[]): Promise<number | undefined> {
    const { checksums } = this.#checking;
    const intervals = indexes.map((index) => {
      return { start: index * chunkSize, end: Math.min(this.#blob.size, (index + 1) * chunkSize) };
    });
    const pieces = await this.#blob.checksum(intervals).catch((error: unknown) => (isShortage(error) ? undefined : []));
    if (pieces === undefined) return undefined;
    return indexes.find((index, at) => pieces[at]?.crc !== checksums[index]);
  }
}
