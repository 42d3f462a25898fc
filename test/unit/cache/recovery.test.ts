import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Recovery } from '../../../src/cache/recovery.ts';
import type { Interval } from '../../../src/http/range.ts';
import { type Piece, StorageError } from '../../../src/storage/driver.ts';

const length = 10;
const pieceAt = (index: number): Piece => ({ start: index * length, end: (index + 1) * length, crc: index });

interface Scene {
  readonly matched: Piece[];
  readonly lost: Piece[];
  readonly run: (signal?: AbortSignal) => Promise<void>;
}

/** A file in which these pieces are damaged, and which ends before the index `missing`. */
function setUp(count: number, damaged: ReadonlySet<number>, missing: number, urgent?: () => number | undefined): Scene {
  const checksum = async (intervals: readonly Interval[]): Promise<Piece[]> => {
    if (intervals.some(({ start }) => start >= missing * length)) throw new StorageError('EIO', 'too short');
    return intervals.map(({ start, end }) => ({ start, end, crc: damaged.has(start / length) ? 99 : start / length }));
  };
  const matched: Piece[] = [];
  const lost: Piece[] = [];
  const recovery = new Recovery(
    { checksum },
    Array.from({ length: count }, (_, index) => pieceAt(index)),
    {
      matched: (pieces) => matched.push(...pieces),
      lost: (pieces) => lost.push(...pieces),
      urgent: urgent ?? (() => undefined),
    },
  );
  return { matched, lost, run: (signal = new AbortController().signal) => recovery.run(signal) };
}

test('each piece is reported once: those that match as such, damaged and missing ones as lost', async () => {
  const count = fc.nat(40);
  await fc.assert(
    fc.asyncProperty(
      count,
      fc.array(fc.nat(40)),
      count,
      fc.array(fc.option(fc.nat(500))),
      async (all, bad, missing, urgent) => {
        const damaged = new Set(bad);
        const waits = [...urgent];
        const scene = setUp(all, damaged, missing, () => waits.shift() ?? undefined);
        await scene.run();
        const starts = (pieces: readonly Piece[]) =>
          pieces.map(({ start }) => start / length).toSorted((a, b) => a - b);
        const indexes = Array.from({ length: all }, (_, index) => index);
        const isRight = (index: number) => !damaged.has(index) && index < missing;
        assert.deepEqual(starts(scene.matched), indexes.filter(isRight));
        assert.deepEqual(
          starts(scene.lost),
          indexes.filter((index) => !isRight(index)),
        );
      },
    ),
  );
});

test('what somebody waits for is checked first', async () => {
  const scene = setUp(40, new Set(), 40, () => 205);
  await scene.run();
  assert.equal(scene.matched[0]?.start, 200);
});

test('it stops with its signal, and reports nothing after it', async () => {
  const stop = new AbortController();
  const scene = setUp(40, new Set(), 40, () => {
    stop.abort();
    return undefined;
  });
  await scene.run(stop.signal);
  assert.deepEqual([scene.matched, scene.lost], [[], []]);
});
