import { Content } from './harness/content.ts';
import { startRegistry, startRegistryProxy } from './harness/docker-registry.ts';
import { download, receiveBuffer } from './harness/download.ts';
import { fetchManifest, type Image, pushImage } from './harness/image.ts';
import { type BenchContext, type Measure, samplesOf } from './harness/measure.ts';
import { startNginxCache } from './harness/nginx.ts';
import { warmPages } from './harness/pages.ts';
import { alternate } from './harness/rounds.ts';
import { transfer } from './harness/transfer.ts';
import { startWeir } from './harness/weir.ts';

const mebibytes = 512;

/**
 * A large blob that only the upstream holds, which is as fast as it can be: throughput, and what it costs the server.
 * Every round has a blob of its own, which the upstream holds in memory. What is cached of it is removed at once.
 */
export async function coldBlob({ lab, rounds, scaled }: BenchContext): Promise<readonly Measure[]> {
  const size = scaled(mebibytes) * 2 ** 20;
  const directory = await lab.directory();
  const registry = await startRegistry(lab);
  const images: Image[] = [];
  for (let round = 0; round <= rounds; round++) {
    images.push(await pushImage(registry.port, 'bench/cold', [new Content(size)]));
  }
  const weir = await startWeir(lab, registry.port);
  const proxy = await startRegistryProxy(lab, registry.port);
  const nginx = await startNginxCache(lab, registry.port);
  const buffer = receiveBuffer();
  const results = await alternate([weir, proxy, nginx], rounds, async (server, round) => {
    const image = images[round];
    if (image === undefined) throw new RangeError(`there is no image for round ${round}`);
    await fetchManifest(server.port, image);
    const [path = ''] = image.layerPaths;
    const prepare = async () => {
      await download({ port: registry.port, path, buffer });
      await warmPages(directory, size * 1.25);
    };
    const result = await transfer(server, { path, buffer, prepare });
    await server.evict();
    return result;
  });
  for (const { program } of [weir, proxy, nginx, registry]) await lab.stop(program);
  const [program, references] = [weir.name, [proxy.name, nginx.name]];
  return [
    {
      title: `Cold blob of ${scaled(mebibytes)} MiB, unlimited upstream: throughput`,
      unit: 'MB/s',
      samples: samplesOf(results, ({ rate }) => rate),
      references,
      targets: [
        { program, bound: 'at least', value: 1, times: proxy.name },
        { program, bound: 'at least', value: 0.6, times: nginx.name },
      ],
    },
    {
      title: 'The same: processor time of the server',
      unit: 's/GB',
      samples: samplesOf(results, ({ processorPerGigabyte }) => processorPerGigabyte),
      references,
      targets: [],
    },
  ];
}
