import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import { chunkSize, type Piece } from './driver.ts';

/** What the hashing thread is asked. Every request is answered with a `HashReply` of the same `id`, in order. */
export type HashRequest = { readonly id: number; readonly stream: number } & (
  | { readonly op: 'open'; readonly path: string; readonly algorithm: string }
  | { readonly op: 'hash'; readonly to: number }
  | { readonly op: 'digest' }
  | { readonly op: 'checksum'; readonly intervals: readonly { readonly start: number; readonly end: number }[] }
  | { readonly op: 'close' }
);

/** The answer to a `HashRequest`. */
export interface HashReply {
  readonly id: number;
  readonly pieces?: readonly Piece[];
  readonly hex?: string;
  /** An errno name, when the file could not be read. */
  readonly error?: string;
}

interface Stream {
  readonly fd: number;
  readonly hash: Hash;
  hashed: number;
  /** Of the chunk that `hashed` is in, up to there. */
  crc: number;
}

/** Answers one request after the other: hashing is bound by the processor, and order keeps it simple. */
class HashWorker {
  readonly #streams = new Map<number, Stream>();
  readonly #buffer = Buffer.allocUnsafeSlow(chunkSize);

  answer(request: HashRequest): HashReply {
    try {
      return { id: request.id, ...this.#carryOut(request) };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
      return { id: request.id, error: code };
    }
  }

  #carryOut(request: HashRequest): Omit<HashReply, 'id'> {
    if (request.op === 'open') {
      const hash = createHash(request.algorithm);
      this.#streams.set(request.stream, { fd: openSync(request.path, 'r'), hash, hashed: 0, crc: 0 });
      return {};
    }
    const stream = this.#streams.get(request.stream);
    if (stream === undefined) return { error: 'EBADF' };
    switch (request.op) {
      case 'hash':
        return { pieces: this.#hash(stream, request.to) };
      case 'digest':
        return { hex: stream.hash.copy().digest('hex'), pieces: this.#tail(stream) };
      case 'checksum':
        return { pieces: request.intervals.map(({ start, end }) => this.#checksum(stream, start, end)) };
      case 'close':
        this.#streams.delete(request.stream);
        closeSync(stream.fd);
        return {};
    }
  }

  #hash(stream: Stream, to: number): Piece[] {
    const pieces: Piece[] = [];
    while (stream.hashed < to) {
      const start = stream.hashed;
      const end = Math.min(to, start - (start % chunkSize) + chunkSize);
      const bytes = this.#read(stream, start, end);
      stream.hash.update(bytes);
      stream.hashed = end;
      stream.crc = crc32(bytes, stream.crc);
      if (end % chunkSize !== 0) break;
      pieces.push({ start: end - chunkSize, end, crc: stream.crc });
      stream.crc = 0;
    }
    return pieces;
  }

  #tail({ hashed, crc }: Stream): Piece[] {
    const length = hashed % chunkSize;
    return length === 0 ? [] : [{ start: hashed - length, end: hashed, crc }];
  }

  #checksum(stream: Stream, start: number, end: number): Piece {
    return { start, end, crc: crc32(this.#read(stream, start, end)) };
  }

  /** Reads at most a chunk; what the file does not hold is an error, never a shorter result. */
  #read({ fd }: Stream, start: number, end: number): Buffer {
    let length = 0;
    while (start + length < end) {
      const read = readSync(fd, this.#buffer, length, end - start - length, start + length);
      if (read === 0) throw Object.assign(new Error('the file is too short'), { code: 'EIO' });
      length += read;
    }
    return this.#buffer.subarray(0, length);
  }
}

const worker = new HashWorker();
parentPort?.on('message', (request: HashRequest) => parentPort?.postMessage(worker.answer(request)));
