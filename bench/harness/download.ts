import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/** One GET, on a connection of its own. */
export interface DownloadOptions {
  readonly port: number;
  readonly path: string;
  /** What the bytes are read into, again and again. */
  readonly buffer: Buffer;
  /** Called for every piece of the body. It is gone afterwards. */
  readonly onBytes?: (bytes: Buffer) => void;
  /** The connection is closed when so many bytes of the body have come. */
  readonly upTo?: number;
}

/** What came of it. Times are milliseconds since before the connection was made. */
export interface Download {
  readonly bytes: number;
  readonly firstByteMs: number;
  readonly totalMs: number;
}

const timeout = 300_000;

/** A buffer for downloads. With it, receiving costs as much as in curl; larger ones leave the processor's cache. */
export function receiveBuffer(): Buffer {
  return Buffer.allocUnsafeSlow(256 * 1024);
}

/** Downloads and throws away. @throws Error for anything but a complete 200 with a length, and after five minutes. */
export function download(options: DownloadOptions): Promise<Download> {
  const { promise, resolve, reject } = Promise.withResolvers<Download>();
  const receiver = new Receiver(options, resolve, reject);
  const { port, path, buffer } = options;
  const socket: Socket = connect({
    host: '127.0.0.1',
    port,
    noDelay: true,
    onread: {
      buffer,
      callback: (length) => {
        if (receiver.receive(buffer.subarray(0, length))) socket.destroy();
        return true;
      },
    },
  });
  const timer = setTimeout(() => socket.destroy(new Error(`GET ${path}: no end`)), timeout);
  socket.on('error', reject);
  socket.on('close', () => {
    clearTimeout(timer);
    reject(new Error(`GET ${path}: the connection ended too early`));
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: weir-bench\r\nAccept: */*\r\n\r\n`);
  return promise;
}

/** The digest of what a download receives. */
export function digester(): { readonly onBytes: (bytes: Buffer) => void; readonly digest: () => string } {
  const hash = createHash('sha256');
  return { onBytes: (bytes) => void hash.update(bytes), digest: () => `sha256:${hash.digest('hex')}` };
}

class Receiver {
  readonly #options: DownloadOptions;
  readonly #resolve: (download: Download) => void;
  readonly #reject: (error: Error) => void;
  readonly #began = performance.now();
  #header = '';
  #expected: number | undefined;
  #received = 0;
  #firstByteMs: number | undefined;

  constructor(options: DownloadOptions, resolve: (download: Download) => void, reject: (error: Error) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Takes what has come. @returns whether that was all. */
  receive(bytes: Buffer): boolean {
    const body = this.#expected === undefined ? this.#receiveHeader(bytes) : bytes;
    if (this.#expected === undefined) return false;
    if (body.length > 0) this.#firstByteMs ??= performance.now() - this.#began;
    this.#received += body.length;
    this.#options.onBytes?.(body);
    const upTo = Math.min(this.#expected, this.#options.upTo ?? this.#expected);
    if (this.#received < upTo) return false;
    const totalMs = performance.now() - this.#began;
    this.#resolve({ bytes: this.#received, firstByteMs: this.#firstByteMs ?? totalMs, totalMs });
    return true;
  }

  #receiveHeader(bytes: Buffer): Buffer {
    const before = this.#header.length;
    this.#header += bytes.toString('latin1', 0, Math.min(bytes.length, 16_384));
    const end = this.#header.indexOf('\r\n\r\n');
    if (end < 0) return bytes.subarray(bytes.length);
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.#header.slice(0, end))?.[1];
    if (!this.#header.startsWith('HTTP/1.1 200 ') || length === undefined) {
      this.#reject(new Error(`GET ${this.#options.path}: ${this.#header.slice(0, end)}`));
    }
    this.#expected = Number(length ?? 0);
    return bytes.subarray(end + 4 - before);
  }
}
