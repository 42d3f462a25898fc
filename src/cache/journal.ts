import type { PartialCatalog, PartialRecord } from '../catalog/catalog.ts';
import type { Interval } from '../http/range.ts';
import { chunkSize, type Ingest, type Piece } from '../storage/driver.ts';
import type { IntervalSet } from './spans.ts';

/**
 * Records what an arriving blob holds, chunk by chunk with its checksums, so that the next request or the next process
 * goes on from there. The bytes need not have reached the disk: after a crash a piece counts only if it matches.
 */
export class Journal {
  readonly #partials: PartialCatalog;
  readonly #ingest: Pick<Ingest, 'checksum'>;
  readonly #held: IntervalSet;
  /** By the index of the chunk: what it holds, where that is known. */
  readonly #known = new Map<number, readonly Piece[]>();
  readonly #dirty = new Set<number>();
  #unrecorded = 0;
  #closed = false;
  #last: Promise<void> = Promise.resolve();

  constructor(partials: PartialCatalog, ingest: Pick<Ingest, 'checksum'>, held: IntervalSet) {
    this.#partials = partials;
    this.#ingest = ingest;
    this.#held = held;
  }

  /** Bytes that have come since the last checkpoint. */
  get unrecorded(): number {
    return this.#unrecorded;
  }

  /** These bytes have come. */
  mark({ start, end }: Interval): void {
    for (let index = Math.floor(start / chunkSize); index * chunkSize < end; index++) {
      this.#dirty.add(index);
    }
    this.#unrecorded += end - start;
  }

  /** The checksums of these pieces were computed just now; each is all that its chunk holds. */
  know(pieces: readonly Piece[]): void {
    for (const piece of pieces) this.#known.set(Math.floor(piece.start / chunkSize), [piece]);
  }

  /** These bytes were recorded before, and have been found to match. */
  recall(pieces: readonly Piece[]): void {
    for (const piece of pieces) {
      const index = Math.floor(piece.start / chunkSize);
      this.#known.set(index, [...(this.#known.get(index) ?? []), piece]);
    }
  }

  /** Nothing is recorded any more, whatever is under way. */
  close(): void {
    this.#closed = true;
  }

  /** Resolves when all that is held now is recorded. One checkpoint at a time. @throws StorageError */
  checkpoint(partial: PartialRecord): Promise<void> {
    if (this.#dirty.size > 0) this.#last = this.#last.catch(() => {}).then(() => this.#record(partial));
    return this.#last;
  }

  /** The checksum of each chunk of the whole blob. All of it must be known. */
  checksums(size: number): Uint32Array {
    const chunks = Math.ceil(size / chunkSize);
    return Uint32Array.from({ length: chunks }, (_, index) => this.#known.get(index)?.[0]?.crc ?? 0);
  }

  async #record(partial: PartialRecord): Promise<void> {
    const chunks = [...this.#dirty];
    this.#dirty.clear();
    this.#unrecorded = 0;
    try {
      const pieces = await this.#piecesOf(chunks);
      if (this.#closed) return;
      this.#partials.put(partial);
      this.#partials.record(partial.name, chunks, pieces);
    } catch (error) {
      for (const index of chunks) this.#dirty.add(index);
      throw error;
    }
  }

  /** All that these chunks hold now. What is computed is right for that; chunks that grow meanwhile are dirty again. */
  async #piecesOf(chunks: readonly number[]): Promise<readonly Piece[]> {
    const unknownChunks = new Set(chunks.filter((index) => !this.#isKnown(index)));
    const unknown = [...unknownChunks].flatMap((index) => this.#held.within(chunkAt(index)));
    const computed = unknown.length > 0 ? await this.#ingest.checksum(unknown) : [];
    const known = chunks.filter((index) => !unknownChunks.has(index)).flatMap((index) => this.#known.get(index) ?? []);
    return [...known, ...computed];
  }

  /** Whether the checksums of all that this chunk holds now are known. */
  #isKnown(index: number): boolean {
    return sumOf(this.#known.get(index) ?? []) === sumOf(this.#held.within(chunkAt(index)));
  }
}

function sumOf(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, { start, end }) => sum + end - start, 0);
}

function chunkAt(index: number): Interval {
  return { start: index * chunkSize, end: (index + 1) * chunkSize };
}
