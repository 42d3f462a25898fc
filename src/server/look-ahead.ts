import type { BufferBudget } from '../async/buffers.ts';
import type { BlobReader } from '../cache/reader.ts';
import { StorageError } from '../storage/driver.ts';

/** The first piece is small: it is read soon, and of many who come at once nobody takes more than the budget has for all. */
const firstPiece = 64 * 1024;

/** One piece of a body, read or being read. */
interface Piece {
  readonly start: number;
  readonly buffer: Buffer;
  /** How many bytes were asked for: all of them were there. */
  readonly length: number;
  /** How many bytes of the buffer it fills. */
  readonly filled: Promise<number>;
}

/**
 * Reads a body piece by piece, in order. While one piece is on its way to the client the next is read already, where it
 * is there: so neither the disk nor the connection waits for the other.
 */
export class LookAhead {
  readonly #reader: BlobReader;
  readonly #budget: BufferBudget;
  #piece: Piece | undefined;
  /** Where the piece ends. */
  #end = 0;
  #next: Piece | undefined;

  constructor(reader: BlobReader, budget: BufferBudget) {
    this.#reader = reader;
    this.#budget = budget;
  }

  /** As `BlobReader.ready`; what it has read already stays there, whatever becomes of it elsewhere. */
  ready(position: number): number {
    const own = this.#next === undefined ? this.#end : this.#next.start + this.#next.length;
    return Math.max(position, this.#reader.ready(Math.max(position, own)));
  }

  /**
   * The bytes from `position` on, none at or behind `limit`: at least one, at most a piece. They are valid until the
   * next call; that goes on where these end.
   * @throws StorageError
   */
  async read(position: number, limit: number): Promise<Buffer> {
    const piece =
      this.#piece !== undefined && position < this.#end ? this.#piece : await this.#advance(position, limit);
    if (this.#end <= limit) this.#lookAhead();
    return piece.buffer.subarray(position - piece.start, Math.min(this.#end, limit) - piece.start);
  }

  /** Gives back all memory; to be called before the reader is closed. */
  async close(): Promise<void> {
    await this.#drop(this.#piece);
    await this.#drop(this.#next);
  }

  async #advance(position: number, limit: number): Promise<Piece> {
    const last = this.#piece;
    // Before anything is waited for: what is there now may have gone then.
    const largest = last === undefined ? Math.min(firstPiece, this.#budget.piece) : this.#budget.piece;
    const piece = this.#next ?? this.#begin(position, Math.min(largest, limit - position));
    this.#piece = piece;
    this.#next = undefined;
    await this.#drop(last);
    this.#end = position + (await piece.filled);
    if (this.#end === position) throw new StorageError('EIO', 'stored content is shorter than recorded');
    return piece;
  }

  /** Of what is still arriving, only whole pieces are worth it: the rest is more by the time it is needed. */
  #lookAhead(): void {
    if (this.#next !== undefined) return;
    const ready = this.#reader.ready(this.#end);
    const length = Math.min(this.#budget.piece, ready - this.#end);
    if (length === this.#budget.piece || (length > 0 && ready === this.#reader.end)) {
      this.#next = this.#begin(this.#end, length);
    }
  }

  #begin(start: number, length: number): Piece {
    const buffer = this.#budget.lease(length);
    const filled = this.#reader.read(buffer.subarray(0, length), start);
    // Whoever comes to this piece hears of it.
    filled.catch(() => {});
    return { start, buffer, length, filled };
  }

  async #drop(piece: Piece | undefined): Promise<void> {
    if (piece === undefined) return;
    await piece.filled.catch(() => {});
    this.#budget.release(piece.buffer);
  }
}
