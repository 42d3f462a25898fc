import { Content } from './harness/content.ts';
import { Crowd } from './harness/crowd.ts';
import { startRegistry, startRegistryProxy } from './harness/docker-registry.ts';
import { fetchManifest, type Image, pushImage } from './harness/image.ts';
import type { Lab, Server } from './harness/lab.ts';
import { type BenchContext, type Measure, samplesOf } from './harness/measure.ts';
import { startNginxCache } from './harness/nginx.ts';
import { resetPeak } from './harness/proc.ts';
import { Relay } from './harness/relay.ts';
import { alternate } from './harness/rounds.ts';
import { startWeir } from './harness/weir.ts';

const mebibytes = 256;
const clients = 100;
const lateClients = 10;
const hashEvery = 10;

interface Contender extends Server {
  /** The way from the server to the upstream. */
  readonly relay: Relay;
}

interface Gathering {
  /** Bytes that came from upstream, in sizes of the blob. */
  readonly upstream: number;
  /** The slowest of those who came when half was there. */
  readonly lateFirstByteMs: number;
  readonly peakMebibytes: number;
  readonly seconds: number;
  /** The same once more, from what is held now. */
  readonly warmSeconds: number;
}

/**
 * A hundred clients at once on one blob that only the upstream holds, and ten more when the first has half of it; then
 * another hundred.
 */
export async function fanOut({ lab, rounds, scaled }: BenchContext): Promise<readonly Measure[]> {
  const registry = await startRegistry(lab);
  const blobs: { readonly content: Content; readonly image: Image }[] = [];
  for (let round = 0; round <= rounds; round++) {
    const content = new Content(scaled(mebibytes) * 2 ** 20);
    blobs.push({ content, image: await pushImage(registry.port, 'bench/crowd', [content]) });
  }
  const contenders = [
    await behindRelay(registry.port, (port) => startWeir(lab, port)),
    await behindRelay(registry.port, (port) => startRegistryProxy(lab, port)),
    await behindRelay(registry.port, (port) => startNginxCache(lab, port)),
  ];
  const results = await alternate(contenders, rounds, async (contender, round) => {
    const blob = blobs[round];
    if (blob === undefined) throw new RangeError(`there is no blob for round ${round}`);
    await fetchManifest(contender.port, blob.image);
    await contender.program.quiet();
    const result = await gather(contender, blob.image.layerPaths[0] ?? '', blob.content);
    await contender.program.quiet();
    await contender.evict();
    return result;
  });
  await stopAll(lab, contenders, registry);
  return measures(results, scaled(mebibytes));
}

async function behindRelay(upstreamPort: number, start: (port: number) => Promise<Server>): Promise<Contender> {
  const relay = await Relay.open(upstreamPort);
  return { ...(await start(relay.port)), relay };
}

async function stopAll(lab: Lab, contenders: readonly Contender[], registry: Server): Promise<void> {
  for (const { program, relay } of contenders) {
    await lab.stop(program);
    await relay.close();
  }
  await lab.stop(registry.program);
}

async function gather({ port, program, relay }: Contender, path: string, content: Content): Promise<Gathering> {
  resetPeak(program.pid);
  const before = relay.received;
  const began = performance.now();
  const crowd = new Crowd({ port, path, clients, hashEvery, milestone: content.size / 2 });
  await crowd.milestone;
  const late = new Crowd({ port, path, clients: lateClients, hashEvery: lateClients, milestone: 1, upTo: 1 });
  const [{ downloads, digests }, { downloads: lateDownloads }] = await Promise.all([crowd.end, late.end]);
  if (downloads.some(({ bytes }) => bytes !== content.size) || digests.some((digest) => digest !== content.digest)) {
    throw new Error(`GET ${path}: a client got something else`);
  }
  const seconds = (performance.now() - began) / 1000;
  await program.quiet();
  const warmBegan = performance.now();
  await new Crowd({ port, path, clients, hashEvery: clients, milestone: content.size }).end;
  return {
    upstream: (relay.received - before) / content.size,
    lateFirstByteMs: Math.max(...lateDownloads.map(({ firstByteMs }) => firstByteMs)),
    peakMebibytes: program.memory.peak / 2 ** 20,
    seconds,
    warmSeconds: (performance.now() - warmBegan) / 1000,
  };
}

function measures(results: ReadonlyMap<string, readonly Gathering[]>, size: number): readonly Measure[] {
  const program = 'Weir';
  const references: string[] = [];
  return [
    {
      title: `${clients} clients at once on a cold blob of ${size} MiB: bytes from upstream`,
      unit: '× its size',
      samples: samplesOf(results, ({ upstream }) => upstream),
      references,
      targets: [{ program, bound: 'at most', value: 1.004 }],
    },
    {
      title: `The same: the slowest first byte of ${lateClients} who come when the first has half of it`,
      unit: 'ms',
      samples: samplesOf(results, ({ lateFirstByteMs }) => lateFirstByteMs),
      references,
      targets: [{ program, bound: 'at most', value: 100 }],
    },
    {
      title: 'The same: peak memory of the server',
      unit: 'MiB',
      samples: samplesOf(results, ({ peakMebibytes }) => peakMebibytes),
      references,
      targets: [{ program, bound: 'at most', value: 300 }],
    },
    {
      title: 'The same: until all have it',
      unit: 's',
      samples: samplesOf(results, ({ seconds }) => seconds),
      references: ['nginx proxy_cache'],
      targets: [],
    },
    {
      title: 'The same once more, warm: until all have it',
      unit: 's',
      samples: samplesOf(results, ({ warmSeconds }) => warmSeconds),
      references: ['nginx proxy_cache'],
      targets: [],
    },
  ];
}
