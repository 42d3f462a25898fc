import { tryOrder } from '../support/commit-order.ts';

// How long a pull takes, as a part of the same by a fair proxy, where unpacking takes 0.5 to 4 times as long as the download.

const ratios = [0.5, 1, 2, 4];
const seconds = Number(process.argv[2] ?? 10);

const ends: (() => Promise<void>)[] = [];
process.stdout.write(`six equal layers that take ${seconds} s to come\n`);
process.stdout.write('unpacking, × the download | Weir | fair proxy | ratio | one layer at a time\n');
for (const unpacking of ratios) {
  const { weir, fair, ratio, ideal } = await tryOrder({ after: (end) => void ends.push(end) }, unpacking, seconds);
  const inSeconds = [weir, fair].map((ms) => `${(ms / 1000).toFixed(1)} s`);
  process.stdout.write(`${[unpacking, ...inSeconds, ratio.toFixed(2), ideal.toFixed(2)].join(' | ')}\n`);
  for (const end of ends.splice(0).toReversed()) await end();
}
