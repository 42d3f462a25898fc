import { createHash, randomBytes } from 'node:crypto';

const pieceSize = 1024 * 1024;

/** Bytes that no compression and no deduplication can shorten, made anew whenever they are read. */
export class Content {
  readonly size: number;
  /** `sha256:…` */
  readonly digest: string;
  readonly #pattern = randomBytes(pieceSize);

  /** So many bytes, unlike those of any other content. */
  constructor(size: number) {
    this.size = size;
    const hash = createHash('sha256');
    for (const piece of this.pieces()) hash.update(piece);
    this.digest = `sha256:${hash.digest('hex')}`;
  }

  /** All of it, in pieces of up to 1 MiB. */
  *pieces(): Generator<Buffer> {
    for (let start = 0; start < this.size; start += pieceSize) {
      const piece = Buffer.from(this.#pattern.subarray(0, Math.min(pieceSize, this.size - start)));
      if (piece.length >= 8) piece.writeDoubleLE(start);
      yield piece;
    }
  }
}
