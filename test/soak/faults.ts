import { newEnds } from '../support/ends.ts';
import { runRows } from '../support/fault-matrix.ts';
import { allRows } from '../support/fault-rows.ts';

// The whole fault matrix: every fault at every place, with one endpoint and two, with Range and without, for every client.

const ends = newEnds();
const outcomes = await runRows(ends, allRows());
await ends.end();
const failed = outcomes.filter(({ problems }) => problems.length > 0);
const ranged = outcomes.filter(({ row }) => row.range && row.fault !== 'corruptAt');
const whole = outcomes.filter(({ row }) => !row.range && row.fault !== 'corruptAt');
const most = (some: typeof outcomes) => Math.max(...some.map(({ fetched }) => fetched)).toFixed(2);
process.stdout.write(
  [
    `rows: ${outcomes.length}, of which failed: ${failed.length}`,
    `longest silence: ${Math.max(...outcomes.map(({ longestGap }) => longestGap)).toFixed(0)} ms`,
    `upstream bytes, as a part of the blob, at most: ${most(ranged)}; without Range: ${most(whole)}`,
    ...failed.map(({ row, problems }) => `${JSON.stringify(row)}: ${problems.join('; ')}`),
    '',
  ].join('\n'),
);
if (failed.length > 0) process.exitCode = 1;
