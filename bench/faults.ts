import { setTimeout as sleep } from 'node:timers/promises';
import { CrioNode, type NodePull } from '../test/support/crio-node.ts';
import {
  always,
  corruptAt,
  endEarly,
  type Fault,
  ignoreRange,
  refuse,
  resetAfter,
  slow,
  stallAfter,
  status,
} from '../test/support/faults.ts';
import { type FixtureImage, makeImage, makeIndex } from '../test/support/images.ts';
import { FakeRegistry } from '../test/support/registry.ts';
import { startRegistryProxy } from './harness/docker-registry.ts';
import { Lab, type Server } from './harness/lab.ts';
import { startNginxCache } from './harness/nginx.ts';
import { startWeir } from './harness/weir.ts';

// Fault → Weir, docker-registry's proxy, nginx as a cache: what a node sees, at true times and with default settings.

const mib = 2 ** 20;
const sizes = [mib, 8 * mib, 2000];
const half = 4 * mib;

/** By what goes wrong with the middle layer. */
const faults: Readonly<Record<string, (only: (path: string) => boolean) => readonly Fault[]>> = {
  'nothing goes wrong': () => [],
  'silence of 15 s in the middle': (only) => [stallAfter(half, 15_000, { only })],
  'silence of 15 s before the first byte': (only) => [stallAfter(0, 15_000, { only })],
  'silence of 60 s in the middle': (only) => [stallAfter(half, 60_000, { only })],
  'the connection is closed in the middle': (only) => [endEarly(half, { only })],
  'the connection is reset in the middle': (only) => [resetAfter(half, { only })],
  'closed three times, 500 kB apart': (only) => [0, 1, 2].map((n) => endEarly(half + n * 500_000, { only })),
  'the blob is refused three times': (only) => [refuse({ only, times: 3 })],
  'the blob is answered with 503 once': (only) => [status(503, { only })],
  'the blob is answered with 429 once, to come again in 2 s': (only) => [status(429, { only, retryAfter: '2' })],
  'closed in the middle, and Range is not understood': (only) => [
    ignoreRange({ only, times: always }),
    endEarly(half, { only }),
  ],
  'a byte is wrong': (only) => [corruptAt(half, { only })],
  'a line of 200 kB/s': (only) => [slow(200_000, { only })],
};

interface Way {
  readonly server: Server;
  readonly registry: FakeRegistry;
}

async function startWays(lab: Lab): Promise<readonly Way[]> {
  const ways: Way[] = [];
  for (const start of [startWeir, startRegistryProxy, startNginxCache]) {
    const registry = await FakeRegistry.start();
    ways.push({ registry, server: await start(lab, Number(new URL(registry.url).port)) });
  }
  return ways;
}

/** Pulls by all ways at a time, and once more where the first pull has failed. */
async function tryFault(ways: readonly Way[], index: number, name: string): Promise<readonly string[]> {
  const image = makeImage(...sizes);
  const cells = ways.map(async ({ server, registry }) => {
    const repository = `team/app${index}`;
    registry.push(repository, image.manifest.digest, image);
    registry.putManifest(repository, makeIndex(image), 'v1');
    const digest = [...image.blobs.keys()][2];
    registry.faults.splice(0);
    registry.faults.push(...(faults[name]?.((path) => path.endsWith(`${digest}`)) ?? []));
    const before = registry.blobBytes;
    const url = `http://127.0.0.1:${server.port}/v2/${repository}/manifests/v1`;
    const pull = await new CrioNode({ commitRate: Number.POSITIVE_INFINITY }).pull(url);
    // What goes on after a pull is part of what it took.
    await sleep(1000);
    return cellOf(pull, (registry.blobBytes - before) / bytesOf(image));
  });
  return Promise.all(cells);
}

function cellOf({ cancelled, error, longestGap }: NodePull, fetched: number): string {
  const outcome = error === undefined ? 'yes' : cancelled ? '**cancelled**' : '**fails**';
  return `${outcome}, ${(longestGap / 1000).toFixed(1)} s, ${fetched.toFixed(2)} ×`;
}

function bytesOf({ blobs }: FixtureImage): number {
  return [...blobs.values()].reduce((sum, { length }) => sum + length, 0);
}

async function main(): Promise<void> {
  const lab = await Lab.open();
  process.on('exit', () => lab.kill());
  const ways = await startWays(lab);
  try {
    const names = ways.map(({ server }) => server.name);
    process.stdout.write(`| fault | ${names.join(' | ')} |\n|---|${names.map(() => '---|').join('')}\n`);
    for (const [index, name] of Object.keys(faults).entries()) {
      process.stdout.write(`| ${name} | ${(await tryFault(ways, index, name)).join(' | ')} |\n`);
    }
  } finally {
    await lab.close();
    for (const { registry } of ways) await registry.close();
  }
}

await main();
