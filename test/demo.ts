import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { CrioNode, type NodePull } from './support/crio-node.ts';
import { slow, stallAfter } from './support/faults.ts';
import { makeImage, makeIndex } from './support/images.ts';
import { startMirror, upstreamConfig } from './support/mirror.ts';
import { FakeRegistry } from './support/registry.ts';

// `npm run demo`: no network and no root. `--once` ends when both pulls have; `--scale 0.2` makes all times shorter.

const { values } = parseArgs({ options: { once: { type: 'boolean' }, scale: { type: 'string' } } });
const scale = Number(values.scale ?? 1);
const tty = process.stdout.isTTY === true;

const layers = [2_000_000, 16_000_000, 4_000_000, 2000];
const total = layers.reduce((sum, size) => sum + size, 0);
const watchdog = 10_000;
/** The upstream falls silent in the middle of the second layer, for longer than nodes wait; the second time, too. */
const silence = { offset: 9_000_000, ms: 14_000 * scale };
const rate = 3_000_000 / scale;
const barWidth = 30;

/** One node, and how far it is. */
interface Contender {
  readonly name: string;
  readonly url: string;
  bytes: number;
  lastByteAt: number;
  pull: NodePull | undefined;
}

async function main(): Promise<number> {
  const ends: (() => Promise<void>)[] = [];
  const ended = { after: (end: () => Promise<void>) => void ends.push(end) };
  const upstream = await startUpstream();
  ended.after(() => upstream.close());
  const times = { timeout: `${watchdog * scale}ms`, drip: `${2000 * scale}ms` };
  const more = { stallTimeout: `${3000 * scale}ms` };
  const config = { ...upstreamConfig(upstream.url, more), prefetch: true, watchdog: times };
  const mirror = await startMirror(ended, { config });
  const contenders = [contender('direct', upstream.url, 'direct'), contender('through Weir', mirror.url, 'mirrored')];
  write(`
  An upstream falls silent for ${seconds(silence.ms)} in the middle of a layer. Two CRI-O 1.31.2 nodes pull the same image
  (4 layers, ${megabytes(total)}); each cancels a pull that makes no progress for ${seconds(watchdog * scale)}.
  Dashboard of the mirror: ${mirror.adminUrl}/

`);
  await race(contenders);
  for (const each of contenders) write(`  ${outcomeOf(each)}\n`);
  write(`\n  The mirror meanwhile: ${await tellRepairs(mirror.metrics())}\n\n`);
  if (!values.once) {
    write(`  It stays up at ${mirror.adminUrl}/ (/api/pulls, /api/clients, /metrics) until Ctrl-C.\n`);
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  }
  for (const end of ends.toReversed()) await end();
  const [direct, mirrored] = contenders;
  return direct?.pull?.cancelled === true && mirrored?.pull?.error === undefined ? 0 : 1;
}

async function startUpstream(): Promise<FakeRegistry> {
  const upstream = await FakeRegistry.start();
  const image = makeImage(...layers);
  for (const repository of ['demo/direct', 'demo/mirrored']) {
    upstream.push(repository, image.manifest.digest, image);
    upstream.putManifest(repository, makeIndex(image), 'v1');
    const only = (path: string) => path.startsWith(`/v2/${repository}/blobs/`);
    upstream.faults.push(stallAfter(silence.offset, silence.ms, { times: 2, only }), slow(rate, { only }));
  }
  return upstream;
}

function contender(name: string, base: string, repository: string): Contender {
  const url = `${base}/v2/demo/${repository}/manifests/v1`;
  return { name, url, bytes: 0, lastByteAt: performance.now(), pull: undefined };
}

/** Lets all of them pull, and draws how far they are. */
async function race(contenders: readonly Contender[]): Promise<void> {
  const pulls = contenders.map(async (each) => {
    const progress = (bytes: number) => {
      each.bytes += bytes;
      each.lastByteAt = performance.now();
    };
    each.pull = await new CrioNode({ commitRate: 4 * rate, scale, watchdog, progress }).pull(each.url);
  });
  const all = Promise.all(pulls);
  let over = false;
  const finished = all.then(() => {
    over = true;
  });
  draw(contenders);
  while (!over) {
    await Promise.race([finished, sleep((tty ? 100 : 2000) * (tty ? 1 : scale))]);
    if (tty) write(`\u001B[${contenders.length}A`);
    draw(contenders);
  }
  await finished;
  write('\n');
}

function draw(contenders: readonly Contender[]): void {
  for (const each of contenders) write(`  ${barOf(each)}${tty ? '\u001B[K' : ''}\n`);
  if (!tty) write('\n');
}

function barOf({ name, bytes, lastByteAt, pull }: Contender): string {
  const done = Math.min(1, bytes / total);
  const filled = Math.floor(done * barWidth);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`;
  const silent = performance.now() - lastByteAt;
  const state =
    pull === undefined
      ? silent < 500 * scale
        ? ''
        : `silent for ${seconds(silent)}`
      : pull.error === undefined
        ? 'done'
        : 'CANCELLED';
  return `${name.padEnd(13)} ${bar} ${`${Math.floor(done * 100)} %`.padStart(5)}  ${state}`.trimEnd();
}

function outcomeOf({ name, pull }: Contender): string {
  if (pull === undefined) return `${name}: nothing`;
  const after = `after ${seconds(pull.ms)}, longest silence ${seconds(pull.longestGap)}`;
  return pull.error === undefined ? `${name}: pulled, ${after}` : `${name}: FAILED, ${after}\n    ${pull.error}`;
}

async function tellRepairs(metrics: Promise<string>): Promise<string> {
  const text = await metrics;
  const sum = (name: string) =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)$`, 'gm'))].reduce(
      (all, [, count]) => all + Number(count),
      0,
    );
  const [repairs, drips] = [sum('weir_upstream_repairs_total'), sum('weir_drips_total')];
  return `${repairs} parts asked for again, ${drips} single bytes sent to break the silence.`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

function write(text: string): void {
  process.stdout.write(text);
}

process.exitCode = await main();
