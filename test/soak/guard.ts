import { type GuardCase, type GuardTrial, layersWith, tryGuard } from '../support/guard-trial.ts';

// The share of pulls that the guard saves, wherever the giant is, on nodes that are slower and faster than assumed. Ends
// with 1 where a pull takes too long, or a retry is not instant.

const rates = [0.25, 0.5, 1, 2, 4];
const mostLayers = 40;
/** Pulls that are tried at the same time: more would wait for this process. */
const together = 40;
/** What a pull may take, as a part of the same on a node without watchdog: more only where the node is faster than assumed. */
const ratioAtMost = (rate: number) => 1.1 * Math.max(1, rate);
/** Milliseconds of a retry, which asks for no layer; a busy machine takes its time. */
const instant = 1000;

type Trial = GuardCase & GuardTrial & { readonly what: string; readonly last: boolean };

/** Every position in few layers; of many: the first, the middle and the last ones. */
function positions(count: number): number[] {
  if (count <= 7) return Array.from({ length: count }, (_, index) => index);
  return [0, Math.floor(count / 2), count - 2, count - 1];
}

async function tryRate(rate: number): Promise<Trial[]> {
  const counts = Array.from({ length: mostLayers }, (_, index) => index + 1);
  const cases = counts.flatMap((count) =>
    positions(count).map((giant) => {
      const what = `layer ${giant + 1} of ${count} at ${rate} ×`;
      return { layers: layersWith(giant, count), rate, what, last: giant === count - 1 };
    }),
  );
  const trials: Trial[] = [];
  for (let start = 0; start < cases.length; start += together) {
    const ends: (() => Promise<void>)[] = [];
    const ended = { after: (end: () => Promise<void>) => void ends.push(end) };
    trials.push(...(await tryGuard(ended, cases.slice(start, start + together))));
    for (const end of ends.toReversed()) await end();
  }
  return trials;
}

const isSaved = ({ guarded }: GuardTrial) => guarded.error === undefined;
const isInstant = ({ retry, retriedLayers }: GuardTrial) =>
  retry !== undefined && retry.error === undefined && retriedLayers === 0 && retry.ms < instant;

function describeRate(rate: number, trials: readonly Trial[]): string {
  const share = (some: readonly Trial[], test: (trial: Trial) => boolean) =>
    `${some.filter(test).length}/${some.length}`;
  const longest = (some: readonly Trial[], measure: (trial: Trial) => number, unit: string, digits: number) =>
    some.length === 0 ? '–' : `${Math.max(...some.map(measure)).toFixed(digits)}${unit}`;
  const [last, notLast] = [trials.filter((each) => each.last), trials.filter((each) => !each.last)];
  const [saved, failed] = [trials.filter(isSaved), trials.filter((each) => !isSaved(each))];
  return [
    `${rate} ×`,
    share(notLast, ({ unguarded }) => unguarded.error === undefined),
    share(notLast, isSaved),
    share(last, isSaved),
    longest(saved, ({ ratio }) => ratio, '', 2),
    share(failed, isInstant),
    longest(failed, ({ retry }) => retry?.ms ?? 0, ' ms', 0),
  ].join(' | ');
}

process.stdout.write(
  'node unpacks | saved without guard | with guard | giant last | longest (× free) | instant retries | slowest retry\n',
);
const broken: string[] = [];
for (const rate of rates) {
  const trials = await tryRate(rate);
  process.stdout.write(`${describeRate(rate, trials)}\n`);
  const late = trials.filter((each) => isSaved(each) && each.ratio > ratioAtMost(rate));
  const stuck = trials.filter((each) => !isSaved(each) && !isInstant(each));
  broken.push(...late.map(({ what, ratio }) => `${what}: ${ratio.toFixed(2)} × the time without a watchdog`));
  broken.push(...stuck.map(({ what, retry }) => `${what}: the retry took ${retry?.ms.toFixed(0)} ms: ${retry?.error}`));
}
for (const line of broken) process.stderr.write(`${line}\n`);
process.exitCode = broken.length > 0 ? 1 : 0;
