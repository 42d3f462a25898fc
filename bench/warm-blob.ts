import { Content } from './harness/content.ts';
import { startRegistry, startRegistryProxy } from './harness/docker-registry.ts';
import { download, receiveBuffer } from './harness/download.ts';
import { fetchManifest, pushImage } from './harness/image.ts';
import { type BenchContext, type Measure, samplesOf } from './harness/measure.ts';
import { startNginxStatic } from './harness/nginx.ts';
import { alternate } from './harness/rounds.ts';
import { transfer } from './harness/transfer.ts';
import { startWeir } from './harness/weir.ts';

const mebibytes = 512;
const timesARound = 4;

/** A large blob that every program holds already, and one client: throughput, and what it costs the server. */
export async function warmBlob({ lab, rounds, scaled }: BenchContext): Promise<readonly Measure[]> {
  const content = new Content(scaled(mebibytes) * 2 ** 20);
  const registry = await startRegistry(lab);
  const image = await pushImage(registry.port, 'bench/warm', [content]);
  const [path = ''] = image.layerPaths;
  const nginx = await startNginxStatic(lab);
  await nginx.put(path, content);
  const weir = await startWeir(lab, registry.port);
  const proxy = await startRegistryProxy(lab, registry.port);
  for (const { port } of [weir, proxy]) await fetchManifest(port, image);
  const buffer = receiveBuffer();
  const results = await alternate([weir, nginx.server, registry, proxy], rounds, (server) => {
    // The system may have dropped the file from memory since the last round.
    const prepare = () => download({ port: server.port, path, buffer });
    return transfer(server, { path, buffer, prepare, times: timesARound });
  });
  for (const { program } of [weir, proxy, nginx.server, registry]) await lab.stop(program);
  const [program, references] = [weir.name, [nginx.server.name, proxy.name]];
  return [
    {
      title: `Warm blob of ${scaled(mebibytes)} MiB, one client: throughput`,
      unit: 'MB/s',
      samples: samplesOf(results, ({ rate }) => rate),
      references,
      targets: [
        { program, bound: 'at least', value: 1, times: nginx.server.name },
        { program, bound: 'at least', value: 2.5, times: proxy.name },
      ],
    },
    {
      title: 'The same: processor time of the server',
      unit: 's/GB',
      samples: samplesOf(results, ({ processorPerGigabyte }) => processorPerGigabyte),
      references,
      targets: [{ program, bound: 'at most', value: 1.1, times: nginx.server.name }],
    },
  ];
}
