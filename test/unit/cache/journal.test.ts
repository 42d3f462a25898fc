import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Journal } from '../../../src/cache/journal.ts';
import { IntervalSet } from '../../../src/cache/spans.ts';
import type { PartialCatalog, PartialRecord, PieceRecord } from '../../../src/catalog/catalog.ts';
import type { Interval } from '../../../src/http/range.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { chunkSize, type Piece, StorageError } from '../../../src/storage/driver.ts';

const size = 4 * chunkSize - 1000;
const partial: PartialRecord = { name: 'x', upstream: 'up', digest: digestOf(Buffer.from('x')), size, usedAt: 1 };

/** Not a checksum, but as good: other bytes have another one. */
const pieceOf = ({ start, end }: Interval): Piece => ({ start, end, crc: (start * 31 + end) % 2 ** 32 });

/** What is recorded of one partial, as the catalog keeps it. */
class Records implements PartialCatalog {
  #pieces: PieceRecord[] = [];
  puts = 0;

  find(): undefined {}

  list(): PartialRecord[] {
    return [];
  }

  put(): void {
    this.puts++;
  }

  record(_name: string, chunks: readonly number[], pieces: readonly PieceRecord[]): void {
    const kept = this.#pieces.filter(({ start }) => !chunks.includes(Math.floor(start / chunkSize)));
    this.#pieces = [...kept, ...pieces].toSorted((a, b) => a.start - b.start);
  }

  pieces(): PieceRecord[] {
    return this.#pieces;
  }

  bytes(): number {
    return this.#pieces.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  measure(): void {}

  remove(): void {}
}

class Scene {
  readonly records = new Records();
  readonly held = new IntervalSet();
  readonly computed: Interval[] = [];
  readonly journal: Journal;
  /** What the next checksum waits for, or fails with. */
  before: Promise<void> = Promise.resolve();

  constructor() {
    const checksum = async (intervals: readonly Interval[]) => {
      this.computed.push(...intervals);
      await this.before;
      return intervals.map(pieceOf);
    };
    this.journal = new Journal(this.records, { checksum }, this.held);
  }

  arrive(interval: Interval): void {
    this.held.add(interval);
    this.journal.mark(interval);
  }

  /** All that the chunk of this offset may hold. */
  fill(offset: number): void {
    const start = offset - (offset % chunkSize);
    const interval = { start, end: Math.min(size, start + chunkSize) };
    this.arrive(interval);
    this.journal.know([pieceOf(interval)]);
  }

  /** As after a restart: recorded before, found to match. */
  recall(interval: Interval): void {
    const chunk = Math.floor(interval.start / chunkSize) * chunkSize;
    const inChunk = { start: interval.start, end: Math.min(interval.end, chunk + chunkSize) };
    if (inChunk.start >= inChunk.end || this.held.within(inChunk).length > 0) return;
    this.arrive(inChunk);
    this.journal.recall([pieceOf(inChunk)]);
  }

  checkRecords(): void {
    const recorded = new IntervalSet();
    for (const piece of this.records.pieces()) {
      assert.deepEqual(piece, pieceOf(piece));
      assert.equal(Math.floor(piece.start / chunkSize), Math.floor((piece.end - 1) / chunkSize));
      assert.deepEqual(recorded.within(piece), []);
      recorded.add(piece);
    }
    assert.deepEqual(recorded.intervals, this.held.intervals);
  }
}

const interval = fc
  .tuple(fc.nat(size - 1), fc.oneof(fc.nat(3000), fc.nat(size)))
  .map(([start, length]) => ({ start, end: Math.min(size, start + length + 1) }));

test('after a checkpoint all that is held is recorded, by chunk, with its checksum, however it came', async () => {
  const step = fc.tuple(fc.constantFrom('arrive', 'arrive', 'fill', 'recall', 'checkpoint'), interval);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const scene = new Scene();
      for (const [what, where] of steps) {
        if (what === 'arrive') scene.arrive(where);
        else if (what === 'fill') scene.fill(where.start);
        else if (what === 'recall') scene.recall(where);
        else void scene.journal.checkpoint(partial);
      }
      await scene.journal.checkpoint(partial);
      scene.checkRecords();
      assert.equal(scene.journal.unrecorded, 0);
    }),
    { numRuns: 200 },
  );
});

test('what comes while a checkpoint is computed is recorded by the next', async () => {
  const scene = new Scene();
  scene.arrive({ start: 0, end: 100 });
  const { promise, resolve } = Promise.withResolvers<void>();
  scene.before = promise;
  const first = scene.journal.checkpoint(partial);
  await new Promise((settled) => setImmediate(settled));
  scene.arrive({ start: 100, end: 250 });
  assert.equal(scene.journal.unrecorded, 150);
  resolve();
  await first;
  assert.deepEqual(scene.records.pieces(), [pieceOf({ start: 0, end: 100 })]);
  await scene.journal.checkpoint(partial);
  scene.checkRecords();
});

test('a checkpoint with nothing new waits for the one that runs', async () => {
  const scene = new Scene();
  scene.arrive({ start: 0, end: 100 });
  const { promise, resolve } = Promise.withResolvers<void>();
  scene.before = promise;
  void scene.journal.checkpoint(partial);
  await new Promise((settled) => setImmediate(settled));
  setImmediate(resolve);
  await scene.journal.checkpoint(partial);
  scene.checkRecords();
  await scene.journal.checkpoint(partial);
  assert.equal(scene.records.puts, 1);
});

test('a chunk whose checksum is known is not read again', async () => {
  const scene = new Scene();
  scene.fill(chunkSize);
  scene.recall({ start: 10, end: 20 });
  scene.recall({ start: 30, end: 40 });
  await scene.journal.checkpoint(partial);
  assert.deepEqual(scene.computed, []);
  scene.checkRecords();
});

test('a checkpoint that fails leaves all of it to the next', async () => {
  const scene = new Scene();
  scene.arrive({ start: 0, end: 100 });
  scene.before = Promise.reject(new StorageError('EIO', 'no'));
  await assert.rejects(scene.journal.checkpoint(partial), StorageError);
  scene.before = Promise.resolve();
  await scene.journal.checkpoint(partial);
  scene.checkRecords();
});

test('the checksums of a whole blob are in the order of its chunks', () => {
  const scene = new Scene();
  for (const index of [3, 0, 2, 1]) scene.fill(index * chunkSize);
  const starts = [0, 1, 2, 3].map((index) => index * chunkSize);
  const expected = starts.map((start) => pieceOf({ start, end: Math.min(size, start + chunkSize) }).crc);
  assert.deepEqual(scene.journal.checksums(size), Uint32Array.from(expected));
});
