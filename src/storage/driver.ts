import type { Digest } from '../oci/digest.ts';

/** Bytes that can be read at any offset. */
export interface ReadableBytes {
  /**
   * Fills `buffer` from `position` on.
   * @returns the bytes read: fewer than asked for only where the content ends.
   * @throws StorageError
   */
  read(buffer: Buffer, position: number): Promise<number>;
  close(): Promise<void>;
}

/** Verified content. It stays readable until closed, even when it is removed meanwhile. */
export interface StoredBlob extends ReadableBytes {
  /** Bytes. */
  readonly size: number;
  /** As `Ingest.hash`. */
  hash(to: number): Promise<readonly Piece[]>;
  /** As `Ingest.digest`. */
  digest(): Promise<{ readonly hex: string; readonly tail: Piece | undefined }>;
  /** Computes the CRC-32 of intervals as they are on the disk now, off the serving thread. @throws StorageError */
  checksum(intervals: readonly { readonly start: number; readonly end: number }[]): Promise<readonly Piece[]>;
}

/** A run of bytes within one chunk, and the CRC-32 it had when it was recorded. */
export interface Piece {
  readonly start: number;
  readonly end: number;
  readonly crc: number;
}

/** Chunks are the unit of checking: no piece crosses a multiple of this. */
export const chunkSize = 1024 * 1024;

/** Content that is still arriving, as it is read and hashed. */
export interface ArrivingBytes extends ReadableBytes {
  /** Up to where it is hashed. */
  readonly hashed: number;
  /**
   * Hashes on, in order, up to `to` at most (exclusive; ≥ what was hashed before). All of it must have been written.
   * One call at a time.
   * @returns a piece for every chunk whose end was passed, always from the chunk's beginning.
   */
  hash(to: number): Promise<readonly Piece[]>;
  /** The digest of all that was hashed, in hexadecimal, and the piece behind the last whole chunk. */
  digest(): Promise<{ readonly hex: string; readonly tail: Piece | undefined }>;
}

/** A sparse file that is written and read anywhere, by anyone, at once. It is hashed off the serving thread. */
export interface Ingest extends ArrivingBytes {
  /** Writes the buffers one after the other from `position` on. @throws StorageError */
  write(position: number, buffers: readonly Buffer[]): Promise<void>;
  /** Computes the CRC-32 of intervals that were written, off the serving thread. */
  checksum(intervals: readonly { readonly start: number; readonly end: number }[]): Promise<readonly Piece[]>;
  /** Makes this the stored blob, durably, cut to `size`. Readers go on undisturbed. */
  commit(digest: Digest, size: number): Promise<void>;
  /** Removes it. Readers go on undisturbed until `close`. */
  discard(): Promise<void>;
}

/** How large the place is where bytes are kept. */
export interface Capacity {
  /** Bytes. */
  readonly total: number;
  /** Bytes that can still be written. */
  readonly free: number;
}

/** Where bytes are kept. */
export interface StorageDriver {
  /** Opens verified content, or `undefined` when it is not there. */
  open(digest: Digest): Promise<StoredBlob | undefined>;
  /** Removes verified content; nothing happens when it is not there. */
  remove(digest: Digest): Promise<void>;
  /** Makes verified content arriving content of this name again; readers go on undisturbed. @throws StorageError */
  reopen(digest: Digest, name: string): Promise<void>;
  /** Every blob that is there, in no order. @throws StorageError */
  list(): Promise<readonly Digest[]>;
  /** Opens the arriving content of this name (file-name characters only), empty when it is new. */
  ingest(name: string, digest: Digest): Promise<Ingest>;
  /** All arriving content by name, with the bytes that it takes: what was never written takes none. @throws StorageError */
  ingests(): Promise<ReadonlyMap<string, number>>;
  /** Removes arriving content that nobody has open. */
  removeIngest(name: string): Promise<void>;
  /** How much there is room for. @throws StorageError */
  capacity(): Promise<Capacity>;
  /** Proves that content can be written and read back. @throws StorageError */
  probe(): Promise<void>;
  close(): Promise<void>;
}

/** The disk failed, or is full. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  /** An errno name such as `ENOSPC` or `EIO`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
