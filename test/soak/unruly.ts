import { newEnds } from '../support/ends.ts';
import { unlessHeldUp } from '../support/held-up.ts';
import { pullFromUnruly, type WayReport } from '../support/unruly.ts';

// Nodes that pull while the upstream misbehaves at random. Arguments: pulls (2000), seed (1).

const [pulls = '2000', seed = '1'] = process.argv.slice(2);
/** A batch is done again where the machine stood still for so long that a watchdog may have seen that. */
const batch = 50;
/** The share of its pulls that the unprotected way has to lose. */
const leastLost = 1 / 3;
const diagnostic = (text: string) => void process.stderr.write(`${text}\n`);
const nothing: WayReport = { pulls: 0, cancelled: 0, failed: 0, errors: [], longestGap: 0, refused: 0 };

async function pullBatch(count: number, batchSeed: number): ReturnType<typeof pullFromUnruly> {
  const ends = newEnds();
  const report = await pullFromUnruly(ends, count, batchSeed);
  await ends.end();
  return report;
}

function add(all: WayReport, more: WayReport): WayReport {
  return {
    pulls: all.pulls + more.pulls,
    cancelled: all.cancelled + more.cancelled,
    failed: all.failed + more.failed,
    errors: [...all.errors, ...more.errors],
    longestGap: Math.max(all.longestGap, more.longestGap),
    refused: all.refused + more.refused,
  };
}

const line = (name: string, { pulls: all, cancelled, failed, longestGap }: WayReport) =>
  `${name} | ${all} | ${cancelled} | ${failed} | ${Math.round(longestGap)} ms\n`;

let weir = nothing;
let unprotected = nothing;
process.stdout.write('way | pulls so far | cancelled | failed otherwise | longest silence\n');
for (let done = 0; done < Number(pulls); done += batch) {
  const count = Math.min(batch, Number(pulls) - done);
  const report = await unlessHeldUp({ diagnostic }, () => pullBatch(count, Number(seed) * 1000 + done / batch));
  weir = add(weir, report.weir);
  unprotected = add(unprotected, report.unprotected);
  process.stdout.write(line('Weir', weir) + line('unprotected', unprotected));
}
for (const error of weir.errors) process.stderr.write(`${error}\n`);
const share = ({ pulls: all, cancelled, failed }: WayReport) => (cancelled + failed) / Math.max(1, all);
const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
process.stdout.write(`lost: Weir ${percent(share(weir))}, unprotected ${percent(share(unprotected))}\n`);
// Where the unprotected way loses little, the upstream was too well behaved to show anything.
if (share(unprotected) < leastLost) {
  process.stderr.write(`unprotected, less than ${percent(leastLost)} were lost: this shows nothing\n`);
  process.exitCode = 1;
}
if (weir.cancelled + weir.failed > 0) process.exitCode = 1;
