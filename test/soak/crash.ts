import { CrashLoop } from '../support/crash-loop.ts';

// A mirror that is killed at random points of pulls, again and again. Arguments: rounds (200), seed (1).

const [rounds = '200', seed = '1'] = process.argv.slice(2);
/** Data directories, each with processes of its own. */
const lanes = 4;

const each = Math.ceil(Number(rounds) / lanes);
const reports = await Promise.all(
  Array.from({ length: lanes }, (_, lane) => CrashLoop.run(each, Number(seed) * 1000 + lane)),
);
process.stdout.write('rounds | pulls cut | pulls whole | corrupt | orphans | upstream bytes (× blobs)\n');
for (const { rounds: done, cut, whole, corrupt, orphans, fetched } of reports) {
  process.stdout.write(`${[done, cut, whole, corrupt, orphans, fetched.toFixed(2)].join(' | ')}\n`);
}
if (reports.some(({ corrupt, orphans }) => corrupt + orphans > 0)) process.exitCode = 1;
