import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runRows } from '../support/fault-matrix.ts';
import { allRows } from '../support/fault-rows.ts';
import { choosePairwise, pairsOf } from '../support/pairwise.ts';
import { Random } from '../support/random.ts';

test('every fault at every place is hidden from every client, whatever it takes: a selection of all pairs', async (t) => {
  const rows = choosePairwise(allRows(), 120, new Random(1));
  const outcomes = await runRows(t, rows);
  const longest = Math.max(...outcomes.map(({ longestGap }) => longestGap));
  const most = Math.max(...outcomes.filter(({ row }) => row.range).map(({ fetched }) => fetched));
  t.diagnostic(
    `${rows.length} of ${allRows().length} rows; longest silence ${longest.toFixed(0)} ms, ${most.toFixed(2)} × the blob`,
  );
  const failed = outcomes.filter(({ problems }) => problems.length > 0);
  // Where nothing was wrong but a silence, or what was taken for one, the machine may have been busy: it will not be so twice.
  const silent = failed.filter(({ row, problems }) =>
    problems.every((each) => each.startsWith('silent') || (row.fault === 'stallAfter' && each.endsWith('× the blob'))),
  );
  const again =
    silent.length === 0
      ? []
      : await runRows(
          t,
          silent.map(({ row }) => row),
        );
  const stillFailed = again.filter(({ problems }) => problems.length > 0);
  assert.deepEqual([...failed.filter((outcome) => !silent.includes(outcome)), ...stillFailed], []);
});

test('a selection has every pair that is possible', () => {
  const all = allRows();
  const covered = new Set(choosePairwise(all, 0, new Random(7)).flatMap(pairsOf));
  assert.deepEqual([...covered].toSorted(), [...new Set(all.flatMap(pairsOf))].toSorted());
});
