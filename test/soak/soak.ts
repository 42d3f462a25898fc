import { parseArgs } from 'node:util';
import { Soak, type SoakReport } from '../support/soak.ts';

// Many modelled nodes pull from a mirror that is too small, while upstreams fail, tags move, the wall clock jumps, the
// configuration changes and the process is ended and started again. `npm run soak -- --minutes 30 --seed 1`

/** A fraction that the disk may hold beyond the limit for a moment, and that the heap may have grown by. */
const tolerance = 1.15;
/** Timers that come and go by themselves. */
const spareTimers = 3;
/** Connections to the two upstreams, which are kept for the next time. */
const spareFiles = 2 * 16;
/** So many complaints say it all. */
const enough = 20;

const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** What is not as it must be. */
function complaints({ pulls, failures, mostOnDisk, limit, heap, before, after, disk }: SoakReport): string[] {
  const early = mean(heap.slice(0, Math.ceil(heap.length / 2)));
  const late = mean(heap.slice(Math.ceil(heap.length / 2)));
  return [
    ...failures,
    ...(pulls > 0 ? [] : ['no pull succeeded']),
    ...(mostOnDisk <= limit * tolerance ? [] : [`the disk held ${mebibytes(mostOnDisk)}`]),
    ...(late <= early * tolerance ? [] : [`the heap grows: ${mebibytes(early)}, then ${mebibytes(late)}`]),
    ...(after.files <= before.files + spareFiles ? [] : [`${after.files} descriptors are left, from ${before.files}`]),
    ...(after.timers <= before.timers + spareTimers ? [] : [`${after.timers} timers are left, from ${before.timers}`]),
    ...Object.entries(disk).flatMap(([what, names]: [string, readonly string[]]) =>
      names.map((name) => `${what}: ${name}`),
    ),
  ];
}

function table(report: SoakReport): string {
  const { pulls, disturbed, disturbances, mostOnDisk, limit, heap, before, after } = report;
  return [
    `pulls, every byte right        ${pulls}`,
    `cut by a restart               ${disturbed}`,
    ...Object.entries(disturbances).map(([name, count]) => `${name.padEnd(30)} ${count}`),
    `most on the disk               ${mebibytes(mostOnDisk)} of ${mebibytes(limit)}`,
    `heap, over the second half     ${mebibytes(Math.min(...heap))} to ${mebibytes(Math.max(...heap))}`,
    `descriptors, before and after  ${before.files}, ${after.files}`,
    `timers, before and after       ${before.timers}, ${after.timers}`,
  ].join('\n');
}

async function main(words: string[]): Promise<number> {
  const options = { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } } as const;
  const { values } = parseArgs({ args: words, options });
  const report = await new Soak({ duration: Number(values.minutes) * 60_000, seed: Number(values.seed) }).run();
  process.stdout.write(`${table(report)}\n`);
  const wrong = complaints(report);
  for (const each of wrong.slice(0, enough)) process.stderr.write(`${each}\n`);
  return wrong.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
