import { newEnds } from '../support/ends.ts';
import { pullFromUnruly, type WayReport } from '../support/unruly.ts';

// Nodes that pull while the upstream misbehaves at random. Arguments: pulls (2000), seed (1).

const [pulls = '2000', seed = '1'] = process.argv.slice(2);
const batch = 200;
const line = (name: string, { pulls: all, cancelled, failed, longestGap }: WayReport) =>
  `${name} | ${all} | ${cancelled} | ${failed} | ${Math.round(longestGap)} ms\n`;

process.stdout.write('way | pulls | cancelled | failed otherwise | longest silence\n');
for (let done = 0; done < Number(pulls); done += batch) {
  const ends = newEnds();
  const report = await pullFromUnruly(ends, Math.min(batch, Number(pulls) - done), Number(seed) * 1000 + done / batch);
  await ends.end();
  process.stdout.write(line('Weir', report.weir) + line('unprotected', report.unprotected));
  if (report.weir.cancelled + report.weir.failed > 0) process.exitCode = 1;
}
