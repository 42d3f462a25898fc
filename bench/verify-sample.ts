import { Content } from './harness/content.ts';
import { startRegistry } from './harness/docker-registry.ts';
import { download, receiveBuffer } from './harness/download.ts';
import { fetchManifest, pushImage } from './harness/image.ts';
import type { Server } from './harness/lab.ts';
import { type BenchContext, type Measure, samplesOf } from './harness/measure.ts';
import { alternate } from './harness/rounds.ts';
import { transfer } from './harness/transfer.ts';
import { startWeir } from './harness/weir.ts';

const mebibytes = 512;
const timesARound = 4;
const samples = ['0', '1/16', '1'];

/** What it costs to check a blob against its checksums while it is read: nothing of it, a sample, all of it. */
export async function verifySample({ lab, rounds, scaled }: BenchContext): Promise<readonly Measure[]> {
  const content = new Content(scaled(mebibytes) * 2 ** 20);
  const registry = await startRegistry(lab);
  const image = await pushImage(registry.port, 'bench/verify', [content]);
  const [path = ''] = image.layerPaths;
  const buffer = receiveBuffer();
  const servers: Server[] = [];
  for (const sample of samples) {
    const server = await startWeir(lab, registry.port, { more: `cache: { verifySample: ${sample} }\n` });
    await fetchManifest(server.port, image);
    servers.push({ ...server, name: `verifySample: ${sample}` });
  }
  const results = await alternate(servers, rounds, (server) => {
    const prepare = () => download({ port: server.port, path, buffer });
    return transfer(server, { path, buffer, prepare, times: timesARound });
  });
  const references = [servers[0]?.name ?? ''];
  const title = `Warm blob of ${scaled(mebibytes)} MiB by verifySample`;
  return [
    { title, unit: 'MB/s', samples: samplesOf(results, ({ rate }) => rate), references, targets: [] },
    {
      title: 'The same: processor time of the server',
      unit: 's/GB',
      samples: samplesOf(results, ({ processorPerGigabyte }) => processorPerGigabyte),
      references,
      targets: [],
    },
  ];
}
