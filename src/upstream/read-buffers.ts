import type { Socket } from 'node:net';

/** What a plain connection, and one with TLS, hands over at a time at most. */
const plainSize = 64 * 1024;
const tlsSize = 16 * 1024;
/** Free buffers that are kept, in bytes. */
const keptBytes = 16 * 1024 * 1024;

/** The `onread` option of `net.connect`: Node.js calls `callback` as a method of the socket. */
export interface OnRead {
  buffer(): Buffer;
  callback(this: Socket, bytes: number, buffer: Uint8Array): boolean;
}

/**
 * Memory that connections read into, used again and again: without it every 64 KiB that arrive are allocated, and
 * collecting them costs more than moving them.
 */
export class ReadBuffers {
  readonly #size: number;
  readonly #free: Buffer[] = [];
  readonly #ours = new WeakSet<ArrayBufferLike>();

  /** `secure`: for connections with TLS. */
  constructor(secure: boolean) {
    this.#size = secure ? tlsSize : plainSize;
  }

  /** For `net.connect` and `tls.connect`. The socket stays a stream: what was read is pushed into it. */
  get onread(): OnRead {
    return {
      buffer: () => this.#take(),
      callback(bytes, buffer) {
        return this.push(buffer.subarray(0, bytes));
      },
    };
  }

  /** Takes back the memory of a chunk that nobody will look at again. Chunks from elsewhere are left alone. */
  release(chunk: Buffer): void {
    const { buffer } = chunk;
    if (!this.#ours.has(buffer) || this.#free.length * this.#size >= keptBytes) return;
    this.#free.push(Buffer.from(buffer));
  }

  #take(): Buffer {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const fresh = Buffer.allocUnsafeSlow(this.#size);
    this.#ours.add(fresh.buffer);
    return fresh;
  }
}
