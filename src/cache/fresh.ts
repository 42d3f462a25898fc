import { byteLength } from '../async/byte-length.ts';

interface Run {
  readonly start: number;
  readonly end: number;
  readonly buffers: readonly Buffer[];
}

/** Whoever comes to a blob begins here: so many bytes stay in memory, and nobody waits for the disk to say the first word. */
const beginning = 64 * 1024;

/** What has come of a blob just now and is still in memory, and its beginning. */
export class Fresh {
  readonly #runs = new Set<Run>();
  #beginning: Run | undefined;

  /** Adds buffers that stand one behind the other. @returns what takes them out again. */
  add(start: number, buffers: readonly Buffer[]): () => void {
    const run = { start, end: start + byteLength(buffers), buffers };
    this.#runs.add(run);
    if (start === 0) this.#keepBeginning(run);
    return () => void this.#runs.delete(run);
  }

  /** Fills `buffer` from `position` on. @returns how many bytes of it: as many as one run has from there on, or none. */
  read(buffer: Buffer, position: number): number {
    for (const { start, end, buffers } of this.#runs) {
      if (position >= start && position < end) return copy(buffers, position - start, buffer);
    }
    return 0;
  }

  /** The beginning may come again, and need not be the same. */
  dropBeginning(): void {
    if (this.#beginning !== undefined) this.#runs.delete(this.#beginning);
  }

  #keepBeginning({ end, buffers }: Run): void {
    if (this.#beginning !== undefined) return;
    const kept = Buffer.allocUnsafeSlow(Math.min(end, beginning));
    copy(buffers, 0, kept);
    this.#beginning = { start: 0, end: kept.length, buffers: [kept] };
    this.#runs.add(this.#beginning);
  }
}

function copy(buffers: readonly Buffer[], from: number, target: Buffer): number {
  let offset = from;
  let copied = 0;
  for (const buffer of buffers) {
    if (offset < buffer.length) copied += buffer.copy(target, copied, offset);
    offset = Math.max(0, offset - buffer.length);
  }
  return copied;
}
