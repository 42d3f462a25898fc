import { availableParallelism, cpus, release, type } from 'node:os';
import { parseArgs } from 'node:util';
import { coldBlob } from './cold-blob.ts';
import { coldLimited } from './cold-limited.ts';
import { fanOut } from './fan-out.ts';
import { Lab } from './harness/lab.ts';
import type { Bench } from './harness/measure.ts';
import { renderTable } from './harness/table.ts';
import { versionOf } from './harness/versions.ts';
import { memory } from './memory.ts';
import { pulls } from './pulls.ts';
import { verifySample } from './verify-sample.ts';
import { warmBlob } from './warm-blob.ts';
import { warmManifest } from './warm-manifest.ts';

const benches: Readonly<Record<string, Bench>> = {
  'warm-blob': warmBlob,
  'warm-manifest': warmManifest,
  'cold-blob': coldBlob,
  'cold-limited': coldLimited,
  'fan-out': fanOut,
  pulls,
  memory,
  'verify-sample': verifySample,
};

const usage = `Usage: npm run bench -- [--rounds N] [--quick] [BENCH...]\n\nBenches: ${Object.keys(benches).join(' ')}\n`;

/** A smoke test moves this part of what is moved otherwise. */
const quickPart = 1 / 8;

async function main(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: { rounds: { type: 'string' }, quick: { type: 'boolean' }, help: { type: 'boolean' } },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 3 : 7));
  const chosen = positionals.length > 0 ? positionals : Object.keys(benches);
  const unknown = chosen.filter((name) => !Object.hasOwn(benches, name));
  if (values.help || unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
    process.stderr.write(usage);
    return values.help ? 0 : 1;
  }
  const part = values.quick ? quickPart : 1;
  process.stdout.write(await header(rounds));
  for (const name of chosen) await runBench(name, { rounds, scaled: (amount) => Math.ceil(amount * part) });
  return 0;
}

async function runBench(name: string, options: { rounds: number; scaled: (amount: number) => number }): Promise<void> {
  const lab = await Lab.open();
  const kill = () => lab.kill();
  const interrupt = () => void lab.close().finally(() => process.exit(1));
  process.on('exit', kill).on('SIGINT', interrupt).on('SIGTERM', interrupt);
  try {
    const measures = (await benches[name]?.({ lab, ...options })) ?? [];
    process.stdout.write(`\n## ${name}\n\n${measures.map(renderTable).join('\n')}`);
  } finally {
    await lab.close();
    process.off('exit', kill).off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

async function header(rounds: number): Promise<string> {
  const programs = await Promise.all([versionOf('nginx', '-v'), versionOf('docker-registry', '--version')]);
  const facts = [
    `${type()} ${release()}`,
    `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown processor'}`,
    `Node.js ${process.versions.node}`,
    ...programs,
    new Date().toISOString().slice(0, 10),
  ];
  return `# Weir, measured\n\n${facts.join(' · ')}\n\nPrograms take turns; medians of ${rounds} rounds; ratios are medians of each round's ratio.\n`;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  return 1;
});
