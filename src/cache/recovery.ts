import type { Interval } from '../http/range.ts';
import type { Ingest, Piece } from '../storage/driver.ts';

/** So many pieces are checked in one go. */
const batch = 8;

/** What becomes of pieces that an earlier flight, or an earlier process, recorded. */
export interface RecoveryEvents {
  /** These bytes are what they were. */
  matched(pieces: readonly Piece[]): void;
  /** These are not: they have to be fetched again. */
  lost(pieces: readonly Piece[]): void;
  /** Where somebody waits for a byte, if anybody does. */
  urgent(): number | undefined;
}

/** Checks recorded pieces against their checksums before anybody gets them: what is waited for first, then in order. */
export class Recovery {
  readonly #ingest: Pick<Ingest, 'checksum'>;
  readonly #events: RecoveryEvents;
  #pieces: Piece[];

  constructor(ingest: Pick<Ingest, 'checksum'>, pieces: readonly Piece[], events: RecoveryEvents) {
    this.#ingest = ingest;
    this.#pieces = [...pieces];
    this.#events = events;
  }

  /** Checks all pieces, then resolves. Pieces that cannot be read are lost. */
  async run(signal: AbortSignal): Promise<void> {
    while (this.#pieces.length > 0 && !signal.aborted) {
      const pieces = this.#take();
      const found = await this.#check(pieces);
      const matches = (piece: Piece) => found.some(({ start, crc }) => start === piece.start && crc === piece.crc);
      if (signal.aborted) return;
      this.#events.matched(pieces.filter(matches));
      this.#events.lost(pieces.filter((piece) => !matches(piece)));
    }
  }

  #take(): Piece[] {
    const urgent = this.#events.urgent() ?? 0;
    const at = Math.max(
      0,
      this.#pieces.findIndex(({ end }) => end > urgent),
    );
    return this.#pieces.splice(at, batch);
  }

  async #check(pieces: readonly Interval[]): Promise<readonly Piece[]> {
    try {
      return await this.#ingest.checksum(pieces);
    } catch {
      // One that lies behind the end of a truncated file spoils the answer for all of its batch.
      const each = await Promise.all(pieces.map((piece) => this.#ingest.checksum([piece]).catch(() => [])));
      return each.flat();
    }
  }
}
