import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { BufferBudget } from '../../../src/async/buffers.ts';
import type { BlobReader } from '../../../src/cache/reader.ts';
import type { Interval } from '../../../src/http/range.ts';
import { Multipart } from '../../../src/server/multipart.ts';
import { readParts } from '../../support/multipart.ts';

const blob = randomBytes(300_000);
const { signal } = new AbortController();

/** A blob whose bytes arrive when they are waited for, `step` at a time. Counts reads. */
class ArrivingBlob implements BlobReader {
  readonly end = blob.length;
  readonly #step: number;
  #arrived = new Set<number>();
  reads = 0;

  constructor(step: number) {
    this.#step = step;
  }

  ready(position: number): number {
    if (!this.#arrived.has(this.#pageOf(position))) return position;
    let page = this.#pageOf(position);
    while (this.#arrived.has(page)) page++;
    return Math.min(page * this.#step, blob.length);
  }

  async arrival(position: number): Promise<void> {
    this.#arrived.add(this.#pageOf(position));
  }

  wake(): void {}

  async read(buffer: Buffer, position: number): Promise<number> {
    this.reads++;
    return blob.copy(buffer, 0, position, Math.min(position + buffer.length, this.ready(position)));
  }

  async close(): Promise<void> {}

  #pageOf(position: number): number {
    return Math.floor(position / this.#step);
  }
}

/** Reads a body as a response does, `piece` bytes at most at a time. */
async function readAll(reader: BlobReader, length: number, piece: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let position = 0; position < length; ) {
    if (reader.ready(position) === position) await reader.arrival(position, signal);
    const buffer = Buffer.alloc(Math.min(piece, reader.ready(position) - position));
    const read = await reader.read(buffer, position);
    assert.equal(read, buffer.length);
    assert.ok(read > 0);
    chunks.push(buffer);
    position += read;
  }
  return Buffer.concat(chunks);
}

const interval = fc
  .tuple(fc.nat(blob.length - 1), fc.integer({ min: 1, max: 3000 }))
  .map(([start, length]) => ({ start, end: Math.min(blob.length, start + length) }));

test('a multipart body is well-formed and right, however it arrives and is taken', async () => {
  const property = async (intervals: Interval[], step: number, piece: number) => {
    const multipart = new Multipart(intervals, blob.length);
    const reader = multipart.over(new ArrivingBlob(step), new BufferBudget(1_000_000));
    const body = await readAll(reader, multipart.length, piece);
    const parts = readParts(body, multipart.contentType);
    assert.equal(parts.length, intervals.length);
    for (const [index, { start, end }] of intervals.entries()) {
      assert.ok(parts[index]?.bytes.equals(blob.subarray(start, end)));
      assert.deepEqual([parts[index]?.start, parts[index]?.end, parts[index]?.total], [start, end, blob.length]);
    }
  };
  await fc.assert(
    fc.asyncProperty(
      fc.array(interval, { minLength: 2, maxLength: 12 }),
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 1, max: 20_000 }),
      property,
    ),
  );
});

test('parts that stand close together are read at once, parts that are far apart are not', async () => {
  const reads = async (step: number) => {
    const arrived = new ArrivingBlob(blob.length);
    await arrived.arrival(0);
    const intervals = Array.from({ length: 10 }, (_, index) => ({ start: index * step, end: index * step + 50 }));
    const multipart = new Multipart(intervals, blob.length);
    await readAll(multipart.over(arrived, new BufferBudget(1_000_000)), multipart.length, 1_000_000);
    return arrived.reads;
  };
  assert.equal(await reads(100), 1);
  assert.equal(await reads(29_000), 10);
});

test('the head of a part is not there before its first byte', async () => {
  const multipart = new Multipart(
    [
      { start: 0, end: 10 },
      { start: 1000, end: 1010 },
    ],
    blob.length,
  );
  const arriving = new ArrivingBlob(100);
  const reader = multipart.over(arriving, new BufferBudget(1_000_000));
  assert.equal(reader.ready(0), 0);
  await reader.arrival(0, signal);
  const first = reader.ready(0);
  const buffer = Buffer.alloc(first);
  await reader.read(buffer, 0);
  assert.ok(buffer.subarray(-10).equals(blob.subarray(0, 10)));
  await reader.arrival(first, signal);
  assert.equal(reader.ready(first), multipart.length);
});
