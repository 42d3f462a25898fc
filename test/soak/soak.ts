import { parseArgs } from 'node:util';
import { Soak } from '../support/soak.ts';
import { complaints, table } from '../support/soak-report.ts';

// Many modelled nodes pull from a mirror that is too small, while upstreams fail, tags move, the wall clock jumps, the
// configuration changes and the process is ended and started again. `npm run soak -- --minutes 30 --seed 1`

/** So many complaints say it all. */
const enough = 20;

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
