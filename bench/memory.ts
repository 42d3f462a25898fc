import { setTimeout as sleep } from 'node:timers/promises';
import { Content } from './harness/content.ts';
import { startRegistry, startRegistryProxy } from './harness/docker-registry.ts';
import { download, receiveBuffer } from './harness/download.ts';
import { fetchManifest, type Image, pushImage } from './harness/image.ts';
import type { Lab, Server } from './harness/lab.ts';
import type { BenchContext, Measure } from './harness/measure.ts';
import { alternate } from './harness/rounds.ts';
import { startWeir } from './harness/weir.ts';

const sizes = [64, 512, 2048];
const settleMs = 3000;

/** A server that is started for one sample, and what it is asked for: nothing, or a blob, cold and warm. */
interface Trial {
  readonly name: string;
  readonly start: () => Promise<Server>;
  readonly image: Image | undefined;
}

/** Memory: three seconds after the start, and the peak of a cold and a warm transfer of blobs of three sizes. */
export async function memory({ lab, rounds, scaled }: BenchContext): Promise<readonly Measure[]> {
  const registry = await startRegistry(lab);
  const weir = () => startWeir(lab, registry.port);
  const proxy = () => startRegistryProxy(lab, registry.port);
  const trials: Trial[] = [
    { name: 'Weir, idle', start: weir, image: undefined },
    { name: 'docker-registry proxy, idle', start: proxy, image: undefined },
  ];
  for (const size of sizes.map(scaled)) {
    const image = await pushImage(registry.port, 'bench/memory', [new Content(size * 2 ** 20)]);
    trials.push({ name: `Weir, ${size} MiB`, start: weir, image });
    trials.push({ name: `docker-registry proxy, ${size} MiB`, start: proxy, image });
  }
  const samples = await alternate(trials, rounds, (trial) => sample(lab, trial));
  await lab.stop(registry.program);
  const [smallest = 0, ...larger] = sizes.map(scaled);
  return [
    {
      title: 'Memory held: idle, and the peak of a cold and a warm transfer',
      unit: 'MiB',
      samples,
      references: [],
      targets: [
        { program: 'Weir, idle', bound: 'at most', value: 130 },
        ...larger.map((size): Measure['targets'][number] => ({
          program: `Weir, ${size} MiB`,
          bound: 'at most',
          value: 1.25,
          times: `Weir, ${smallest} MiB`,
        })),
      ],
    },
  ];
}

async function sample(lab: Lab, { start, image }: Trial): Promise<number> {
  const server = await start();
  const { port, program } = server;
  await sleep(settleMs);
  const idle = program.memory.now;
  if (image !== undefined) {
    const buffer = receiveBuffer();
    const path = image.layerPaths[0] ?? '';
    await fetchManifest(port, image);
    await download({ port, path, buffer });
    await program.quiet();
    await download({ port, path, buffer });
  }
  const bytes = image === undefined ? idle : program.memory.peak;
  await lab.stop(program);
  await server.evict();
  return bytes / 2 ** 20;
}
