import { chunkSize, type StoredBlob } from '../storage/driver.ts';
import type { BlobReader } from './reader.ts';

/** How what is read is checked, and what is done where it is wrong. */
export interface Checking {
  /** The CRC-32 of each chunk, in order. */
  readonly checksums: Uint32Array;
  /** Whether this chunk is one of those that are checked. */
  isDue(index: number): boolean;
  /** The blob is damaged: what it is read with from now on. */
  repair(): Promise<BlobReader>;
  /** Aborts when nobody waits for bytes any more. */
  readonly signal: AbortSignal;
}

/** Reads what is in storage, and of some chunks nothing before they were found to be right. */
export class CheckedReader implements BlobReader {
  readonly #blob: StoredBlob;
  readonly #end: number;
  readonly #checking: Checking;
  /** The last chunk that was checked. */
  #checked = -1;
  #repaired: BlobReader | undefined;

  constructor(blob: StoredBlob, end: number, checking: Checking) {
    this.#blob = blob;
    this.#end = end;
    this.#checking = checking;
  }

  get end(): number | undefined {
    return this.#repaired === undefined ? this.#end : this.#repaired.end;
  }

  ready(position: number): number {
    return this.#repaired === undefined ? this.#end : this.#repaired.ready(position);
  }

  arrival(position: number, signal: AbortSignal): Promise<void> {
    return this.#repaired?.arrival(position, signal) ?? Promise.resolve();
  }

  wake(): void {
    this.#repaired?.wake();
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    if (this.#repaired === undefined) {
      const due = this.#due(position, buffer.length);
      if (due.length === 0 || (await this.#areRight(due))) return this.#blob.read(buffer, position);
      this.#repaired = await this.#checking.repair();
    }
    await this.#repaired.arrival(position, this.#checking.signal);
    return this.#repaired.read(buffer, position);
  }

  async close(): Promise<void> {
    await this.#repaired?.close();
    await this.#blob.close();
  }

  #due(position: number, length: number): number[] {
    const due: number[] = [];
    const last = Math.floor((position + length - 1) / chunkSize);
    for (let index = Math.floor(position / chunkSize); index <= last; index++) {
      if (index !== this.#checked && this.#checking.isDue(index)) due.push(index);
    }
    return due;
  }

  /** What cannot be read is not right either. */
  async #areRight(indexes: readonly number[]): Promise<boolean> {
    const { checksums } = this.#checking;
    const intervals = indexes.map((index) => {
      return { start: index * chunkSize, end: Math.min(this.#blob.size, (index + 1) * chunkSize) };
    });
    const pieces = await this.#blob.checksum(intervals).catch(() => []);
    this.#checked = indexes.at(-1) ?? -1;
    return indexes.every((index, at) => pieces[at]?.crc === checksums[index]);
  }
}
