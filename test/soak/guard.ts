import { type GuardTrial, layersWith, tryGuard } from '../support/guard-trial.ts';

// The share of pulls that the guard saves, wherever the giant is, on nodes that are slower and faster than assumed.

const rates = [0.25, 0.5, 1, 2, 4];
const counts = [1, 2, 3, 6, 7, 12, 20, 40];

interface Ended {
  readonly ends: (() => Promise<void>)[];
  after(end: () => Promise<void>): void;
}

function newEnds(): Ended {
  const ends: (() => Promise<void>)[] = [];
  return { ends, after: (end) => void ends.push(end) };
}

/** Every position in few layers; of many: the first, the middle and the last ones. */
function positions(count: number): number[] {
  if (count <= 7) return Array.from({ length: count }, (_, index) => index);
  return [0, Math.floor(count / 2), count - 2, count - 1];
}

async function tryRate(rate: number): Promise<string> {
  const cases = counts.flatMap((count) =>
    positions(count).map((giant) => ({ layers: layersWith(giant, count), rate, last: giant === count - 1 })),
  );
  const { ends, ...ended } = newEnds();
  const trials = await tryGuard(ended, cases);
  for (const end of ends.toReversed()) await end();
  const ok = (each: GuardTrial) => each.guarded.error === undefined;
  const share = (some: readonly GuardTrial[], test: (trial: GuardTrial) => boolean) =>
    `${some.filter(test).length}/${some.length}`;
  const notLast = trials.filter(({ last }) => !last);
  const saved = trials.filter(ok);
  const failed = trials.filter((each) => !ok(each));
  return [
    `${rate}×`,
    share(notLast, ({ unguarded }) => unguarded.error === undefined),
    share(notLast, ok),
    share(
      trials.filter(({ last }) => last),
      ok,
    ),
    saved.length === 0 ? '–' : Math.max(...saved.map(({ ratio }) => ratio)).toFixed(2),
    share(failed, ({ retry, retriedLayers }) => retry?.error === undefined && retriedLayers === 0),
    failed.length === 0 ? '–' : `${Math.max(...failed.map(({ retry }) => retry?.ms ?? 0)).toFixed(0)} ms`,
  ].join(' | ');
}

process.stdout.write(
  'node unpacks | without guard | with guard | giant last | longest (× free) | instant retries | slowest retry\n',
);
for (const rate of rates) process.stdout.write(`${await tryRate(rate)}\n`);
