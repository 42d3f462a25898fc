import type { SoakReport } from './soak.ts';

/** What the blocks of a file system round up, of all files together, in bytes. */
const spareBytes = 512 * 1024;
/** What the heap may have grown to, of what it was. */
const tolerance = 1.15;
/** Timers that come and go by themselves. */
const spareTimers = 3;
/** Connections to the two upstreams, which are kept for the next time. */
const spareFiles = 2 * 16;

const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** What is not as it must be; nothing when all is well. */
export function complaints({ pulls, failures, mostOnDisk, limit, heap, before, after, disk }: SoakReport): string[] {
  const early = mean(heap.slice(0, Math.ceil(heap.length / 2)));
  const late = mean(heap.slice(Math.ceil(heap.length / 2)));
  return [
    ...failures,
    ...(pulls > 0 ? [] : ['no pull succeeded']),
    ...(mostOnDisk <= limit + spareBytes ? [] : [`the disk held ${mebibytes(mostOnDisk)}`]),
    ...(late <= early * tolerance ? [] : [`the heap grows: ${mebibytes(early)}, then ${mebibytes(late)}`]),
    ...(after.files <= before.files + spareFiles ? [] : [`${after.files} descriptors are left, from ${before.files}`]),
    ...(after.timers <= before.timers + spareTimers ? [] : [`${after.timers} timers are left, from ${before.timers}`]),
    ...Object.entries(disk).flatMap(([what, names]: [string, readonly string[]]) =>
      names.map((name) => `${what}: ${name}`),
    ),
  ];
}

/** The report, for a terminal. */
export function table(report: SoakReport): string {
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
