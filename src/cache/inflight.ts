import { byteLength } from '../async/byte-length.ts';
import { fill } from '../async/fill.ts';
import type { Interval } from '../http/range.ts';
import type { ArrivingBytes, Ingest } from '../storage/driver.ts';
import { Fresh } from './fresh.ts';
import { type ArrivingBlob, type Demand, InflightReader } from './reader.ts';
import { type Recent, sharedFrom } from './recent.ts';
import { IntervalSet } from './spans.ts';

/** Where bytes go that are not kept. */
export interface Passage extends ArrivingBytes {
  /**
   * Takes the buffers one after the other from `start` on.
   * @returns what can be read from now on, and could not before. @throws IntegrityError
   */
  take(start: number, buffers: readonly Buffer[]): readonly Interval[];
}

/** What the owner of an arriving blob wants to know. */
export interface InflightEvents {
  /** Bytes were written. */
  held(interval: Interval): void;
  /** A reader waits, or has come or gone. */
  wanted(): void;
  /** Bytes cannot be written; they may be diverted elsewhere. */
  unwritable(error: unknown): void;
  /** Nobody can read it any more. */
  closed(): void;
}

/**
 * A blob on its way in: a sparse file, and the set of intervals that it holds. Bytes come in anywhere; any number of
 * readers follow, each waiting only for its own next byte.
 */
export class InflightBlob implements ArrivingBlob {
  readonly #ingest: Ingest;
  #passage: Passage | undefined;
  readonly #events: InflightEvents;
  readonly #held = new IntervalSet();
  /** What has come: nobody writes the same bytes at the same time as somebody else, or after. */
  readonly #written = new IntervalSet();
  /** What has come, and is read from memory until it is written. */
  readonly #fresh = new Fresh();
  /** What can be read: what is there, and what is fresh. */
  readonly #readable = new IntervalSet();
  readonly #recent: Recent;
  readonly #name: number;
  readonly #readers = new Set<InflightReader>();
  #size: number | undefined;
  #verified = false;
  #failure: Error | undefined;
  /** Those that are about to read. */
  #retained = 0;
  #released = false;
  #closed: Promise<void> | undefined;
  #writes: Promise<unknown> = Promise.resolve();

  constructor(ingest: Ingest, size: number | undefined, recent: Recent, events: InflightEvents) {
    this.#ingest = ingest;
    this.#size = size;
    this.#recent = recent;
    this.#name = recent.add();
    this.#events = events;
  }

  /** Where the bytes are. */
  get ingest(): ArrivingBytes {
    return this.#passage ?? this.#ingest;
  }

  /** Bytes; `undefined` while neither a descriptor nor the upstream has said. */
  get size(): number | undefined {
    return this.#size;
  }

  /** What is there. */
  get held(): IntervalSet {
    return this.#held;
  }

  /** What is there, or is being written, or has been and cannot be read yet. */
  get written(): IntervalSet {
    return this.#written;
  }

  get readable(): IntervalSet {
    return this.#readable;
  }

  get readers(): ReadonlySet<InflightReader> {
    return this.#readers;
  }

  /** Whether all of it is there, and hashes to its digest. */
  get verified(): boolean {
    return this.#verified;
  }

  /** Why no more will come. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Whether every byte is there. */
  get whole(): boolean {
    return this.#size !== undefined && this.#held.endOfRun(0) >= this.#size;
  }

  /** The size has become known. */
  settleSize(size: number): void {
    this.#size = size;
    this.#notify();
  }

  /** Writes what is not there yet of these bytes. @throws StorageError */
  write(start: number, buffers: readonly Buffer[]): Promise<void> {
    const writing = this.#write(start, buffers);
    // Of those that are over nothing is kept.
    this.#writes = Promise.allSettled([this.#writes, writing]).then(() => undefined);
    return writing;
  }

  /** Resolves when all that is being written now is there, or has failed. */
  async settled(): Promise<void> {
    await this.#writes;
  }

  async #write(start: number, buffers: readonly Buffer[]): Promise<void> {
    const end = start + byteLength(buffers);
    for (let gap = this.#written.firstGap({ start, end }); gap; gap = this.#written.firstGap({ start: gap.end, end })) {
      this.#written.add(gap);
      await this.#put(gap, cut(buffers, gap.start - start, gap.end - start));
    }
  }

  /** These bytes are in the file. */
  hold(interval: Interval): void {
    this.#held.add(interval);
    this.#written.add(interval);
    this.#readable.add(interval);
    this.#events.held(interval);
    this.#notify();
  }

  /** From now on bytes go here. What was written before can be read through it. */
  divert(passage: Passage): void {
    this.#passage = passage;
    this.#fresh.dropBeginning();
  }

  /** These bytes are not there any more, and may come again. */
  drop(interval: Interval): void {
    this.#held.remove(interval);
    this.#written.remove(interval);
    this.#readable.remove(interval);
  }

  /** Adds a reader. */
  read(demand: Demand): InflightReader {
    const reader = new InflightReader(this, demand);
    this.#readers.add(reader);
    this.#events.wanted();
    return reader;
  }

  /**
   * Keeps the file open for somebody who is about to read.
   * @returns what lets go of it, to be called once; `undefined` where it is closed already.
   */
  retain(): (() => Promise<void>) | undefined {
    if (this.#closed !== undefined) return undefined;
    this.#retained++;
    return () => {
      this.#retained--;
      return this.#closeIfUnused();
    };
  }

  wanted(): void {
    this.#events.wanted();
  }

  readAt(buffer: Buffer, position: number): Promise<number> {
    return fill(buffer, (rest, filled) => this.#readSome(rest, position + filled));
  }

  /** What is in memory is read at once: a moment later, it may have been written, or be gone. */
  #readSome(buffer: Buffer, position: number): Promise<number> | number {
    const fresh = this.#fresh.read(buffer, position);
    if (fresh > 0) return fresh;
    const { ingest } = this;
    if (this.#isShared && ingest === this.#ingest && this.#holdsBlockAt(position)) {
      return this.#recent.read(this.#name, ingest, buffer, position);
    }
    return ingest.read(buffer.subarray(0, this.#held.endOfRun(position) - position), position);
  }

  #holdsBlockAt(position: number): boolean {
    const { start, end } = this.#recent.blockAt(position, this.#size);
    return this.#held.endOfRun(start) >= end;
  }

  get #isShared(): boolean {
    return this.#readers.size >= sharedFrom;
  }

  async leave(reader: InflightReader): Promise<void> {
    if (!this.#readers.delete(reader)) return;
    this.#events.wanted();
    await this.#closeIfUnused();
  }

  /** The digest matches: the last byte may go. */
  verify(): void {
    this.#verified = true;
    this.#notify();
  }

  /** No more will come: readers get what is there, then this. */
  fail(error: Error): void {
    this.#failure = error;
    this.#notify();
  }

  /** The flight has ended: the file is closed when the last reader leaves. */
  async release(): Promise<void> {
    this.#released = true;
    await this.#closeIfUnused();
  }

  async #closeIfUnused(): Promise<void> {
    if (!this.#released || this.#readers.size + this.#retained > 0) return;
    // Who reads of an end only comes and goes after it.
    this.#closed ??= this.#close();
    await this.#closed;
  }

  #close(): Promise<void> {
    this.#recent.forget(this.#name);
    return this.ingest.close().finally(() => this.#events.closed());
  }

  async #put(gap: Interval, buffers: readonly Buffer[]): Promise<void> {
    if (this.#passage !== undefined) return this.#pass(this.#passage, gap, buffers);
    const forget = this.#fresh.add(gap.start, buffers);
    this.#readable.add(gap);
    this.#notify();
    try {
      await this.#ingest.write(gap.start, buffers);
      this.hold(gap);
    } catch (error) {
      this.#readable.remove(gap);
      const passage = this.#insteadOf(error);
      if (passage === undefined) throw error;
      this.#pass(passage, gap, buffers);
    } finally {
      forget();
    }
  }

  #insteadOf(error: unknown): Passage | undefined {
    if (this.#passage === undefined) this.#events.unwritable(error);
    return this.#passage;
  }

  /** In one go: what is taken now may have to go for what is taken next. */
  #pass(passage: Passage, { start }: Interval, buffers: readonly Buffer[]): void {
    for (const run of passage.take(start, buffers)) this.hold(run);
  }

  #notify(): void {
    for (const reader of this.#readers) reader.notify();
  }
}

/** The bytes from `from` to `to` of buffers that stand one behind the other. */
function cut(buffers: readonly Buffer[], from: number, to: number): Buffer[] {
  const pieces: Buffer[] = [];
  let offset = 0;
  for (const buffer of buffers) {
    const piece = buffer.subarray(Math.max(0, from - offset), Math.max(0, to - offset));
    if (piece.length > 0) pieces.push(piece);
    offset += buffer.length;
  }
  return pieces;
}
