import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { Fault } from './faults.ts';

/** Pauses that can all be ended at once. */
export class Pauses {
  readonly #timers = new Set<NodeJS.Timeout>();

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        resolve();
      }, ms);
      this.#timers.add(timer);
    });
  }

  /** Those who wait go on waiting for ever. */
  cancel(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

/** The answer to one request for a blob, with everything that goes wrong with it. */
export class BlobAnswer {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #faults: readonly Fault[];
  readonly #pauses: Pauses;
  readonly #blob: Buffer;
  /** What is asked for, where a range is. */
  readonly #range: { readonly start: number; readonly end: number } | undefined;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    blob: Buffer,
    faults: readonly Fault[],
    pauses: Pauses,
  ) {
    this.#request = request;
    this.#response = response;
    this.#faults = faults;
    this.#pauses = pauses;
    const corrupt = faults.flatMap((fault) => (fault.kind === 'corruptAt' ? [fault.offset] : []));
    const bytes = flip(blob, corrupt);
    this.#blob = this.#has('gzip') ? gzipSync(bytes) : bytes;
    this.#range =
      this.#has('ignoreRange') || this.#has('gzip') ? undefined : readRange(request.headers.range, blob.length);
  }

  /** Sends it. `sent` is told of the bytes of content as they go out. */
  async send(sent: (bytes: number) => void): Promise<void> {
    const { start, end } = this.#range ?? { start: 0, end: this.#blob.length };
    if (start >= this.#blob.length && this.#range) {
      this.#response.writeHead(416, { 'content-range': `bytes */${this.#blob.length}` }).end();
      return;
    }
    this.#response.writeHead(this.#range ? 206 : 200, this.#headers(start, end));
    if (this.#request.method === 'HEAD') {
      this.#spareBeyond(0, 0);
      this.#response.end();
    } else {
      this.#spareBeyond(start, end);
      await this.#sendBytes(start, end, sent);
    }
  }

  /** A fault whose place this response does not reach waits for one that does. */
  #spareBeyond(start: number, end: number): void {
    for (const fault of this.#faults) {
      if ('offset' in fault && (fault.offset < start || fault.offset >= end))
        Object.assign(fault, { times: fault.times + 1 });
    }
  }

  #headers(start: number, end: number): OutgoingHttpHeaders {
    const by = this.#find('wrongLength')?.by ?? 0;
    const shift = this.#has('wrongRange') ? 1 : 0;
    const headers: OutgoingHttpHeaders = { 'content-type': 'application/octet-stream' };
    if (this.#has('noFraming')) this.#response.useChunkedEncodingByDefault = false;
    if (!this.#has('noLength') && !this.#has('noFraming'))
      headers['content-length'] = end - start + (this.#range ? 0 : by);
    if (this.#has('gzip')) headers['content-encoding'] = 'gzip';
    if (this.#range) headers['content-range'] = `bytes ${start + shift}-${end - 1 + shift}/${this.#blob.length + by}`;
    return headers;
  }

  async #sendBytes(start: number, end: number, sent: (bytes: number) => void): Promise<void> {
    let position = start;
    for (const fault of this.#events()) {
      if (fault.offset < start || fault.offset >= end) continue;
      await this.#write(this.#blob.subarray(position, fault.offset), sent);
      position = fault.offset;
      if (fault.kind === 'resetAfter') this.#response.socket?.resetAndDestroy();
      if (fault.kind === 'endEarly') this.#response.socket?.end();
      if (fault.kind !== 'stallAfter') return;
      await this.#pauses.wait(fault.ms);
    }
    await this.#write(this.#blob.subarray(position, end), sent);
    this.#response.end();
  }

  /** What happens at an offset, in order. */
  #events(): (Fault & { kind: 'resetAfter' | 'endEarly' | 'stallAfter' })[] {
    const placed = this.#faults.flatMap((fault) => {
      return fault.kind === 'resetAfter' || fault.kind === 'endEarly' || fault.kind === 'stallAfter' ? [fault] : [];
    });
    return placed.toSorted((a, b) => a.offset - b.offset);
  }

  async #write(bytes: Buffer, sent: (bytes: number) => void): Promise<void> {
    const pace = this.#find('slow');
    const step = pace ? Math.max(1, Math.floor(pace.bytesPerSecond / 50)) : 256 * 1024;
    for (let at = 0; at < bytes.length && !this.#response.destroyed; at += step) {
      const piece = bytes.subarray(at, at + step);
      sent(piece.length);
      await this.#flushed(piece);
      if (pace) await this.#pauses.wait(20);
    }
  }

  #flushed(piece: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#response.once('close', resolve);
      this.#response.write(piece, () => {
        this.#response.off('close', resolve);
        resolve();
      });
    });
  }

  #has(kind: Fault['kind']): boolean {
    return this.#find(kind) !== undefined;
  }

  #find<K extends Fault['kind']>(kind: K): (Fault & { kind: K }) | undefined {
    return this.#faults.find((fault): fault is Fault & { kind: K } => fault.kind === kind);
  }
}

function readRange(header: string | undefined, size: number): { start: number; end: number } | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined) return undefined;
  return { start: Number(first), end: Math.min(size, last ? Number(last) + 1 : size) };
}

function flip(bytes: Buffer, offsets: readonly number[]): Buffer {
  if (offsets.length === 0) return bytes;
  const copy = Buffer.from(bytes);
  for (const offset of offsets) copy.writeUInt8(copy.readUInt8(offset) ^ 0xff, offset);
  return copy;
}
