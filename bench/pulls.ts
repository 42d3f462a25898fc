import { createHash } from 'node:crypto';
import { Containerd, containerdPrograms } from '../test/support/containerd.ts';
import { CrioNode } from '../test/support/crio-node.ts';
import { lacking } from '../test/support/lacking.ts';
import { run } from '../test/support/program.ts';
import { startRegistry, startRegistryProxy } from './harness/docker-registry.ts';
import { type Image, pushImage } from './harness/image.ts';
import type { Server } from './harness/lab.ts';
import { type BenchContext, type Measure, samplesOf } from './harness/measure.ts';
import { Relay } from './harness/relay.ts';
import { alternate } from './harness/rounds.ts';
import { TarContent } from './harness/tar-content.ts';
import { startWeir } from './harness/weir.ts';

const layers = 6;
const mebibytes = 16;
/** Bytes per second: of the line to the upstream, and what the modelled node unpacks. */
const rate = 40e6;
const repository = 'bench/app';

/** How long a node needs for an image that only the upstream holds: directly, and by way of mirrors. */
export async function pulls({ lab, rounds, scaled }: BenchContext): Promise<readonly Measure[]> {
  const registry = await startRegistry(lab);
  const relay = await Relay.open(registry.port, rate);
  const direct: Server = { ...registry, name: 'direct', port: relay.port };
  const servers = [await startWeir(lab, relay.port), await startRegistryProxy(lab, relay.port), direct];
  const size = scaled(mebibytes) * 2 ** 20;
  const measurePulls = async (pull: (port: number, image: Image) => Promise<void>) => {
    const images: Image[] = [];
    for (let round = 0; round <= rounds; round++) images.push(await pushLayers(registry.port, size));
    const results = await alternate(servers, rounds, async ({ port, program, evict }, round) => {
      const image = images[round];
      if (image === undefined) throw new RangeError(`there is no image for round ${round}`);
      const began = performance.now();
      await pull(port, image);
      const seconds = (performance.now() - began) / 1000;
      await program.quiet();
      if (port !== relay.port) await evict();
      return seconds;
    });
    return samplesOf(results, (seconds) => seconds);
  };
  const modelled = await measurePulls(pullByNode);
  const missing = lacking(containerdPrograms, { root: true });
  const real = missing === false ? await byContainerd(measurePulls) : undefined;
  await relay.close();
  for (const { program } of servers) await lab.stop(program);
  return describe(scaled(mebibytes), modelled, real);
}

function describe(size: number, modelled: Samples, real: Samples | undefined): readonly Measure[] {
  const what = `${layers} layers of ${size} MiB, upstream at ${rate / 1e6} MB/s`;
  const rest = { unit: 's', references: ['direct', 'docker-registry proxy'] };
  return [
    {
      ...rest,
      title: `Cold pull, download and unpacking, of a modelled CRI-O node that unpacks as fast: ${what}`,
      samples: modelled,
      targets: [{ program: 'Weir', bound: 'at most', value: 0.7, times: 'direct' }],
    },
    ...(real === undefined
      ? []
      : [{ ...rest, title: `The same, of a real containerd: ${what}`, samples: real, targets: [] }]),
  ];
}

type Samples = Map<string, number[]>;
type MeasurePulls = (pull: (port: number, image: Image) => Promise<void>) => Promise<Samples>;

async function pullByNode(port: number, { manifestPath }: Image): Promise<void> {
  const node = new CrioNode({ commitRate: rate, watchdog: undefined });
  const { error } = await node.pull(`http://127.0.0.1:${port}${manifestPath}`);
  if (error !== undefined) throw new Error(error);
}

async function byContainerd(measurePulls: MeasurePulls): Promise<Samples> {
  const containerd = await Containerd.start();
  const ctr = (...words: string[]) => run(['ctr', '--address', containerd.socket, 'images', ...words]);
  try {
    return await measurePulls(async (port, { manifestPath }) => {
      const reference = `127.0.0.1:${port}/${repository}@${manifestPath.slice(manifestPath.lastIndexOf('/') + 1)}`;
      await ctr('pull', '--plain-http', reference);
      // Gone, and all that belongs to it, before the next one comes.
      await ctr('rm', '--sync', reference);
    });
  } finally {
    await containerd.stop();
  }
}

/** An image that can be unpacked. */
function pushLayers(port: number, size: number): Promise<Image> {
  const contents = Array.from({ length: layers }, (_, index) => new TarContent(`file${index}`, size));
  const rootfs = { type: 'layers', diff_ids: contents.map(({ digest }) => digest) };
  const bytes = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs }));
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const config = { size: bytes.length, digest, pieces: () => [bytes] };
  return pushImage(port, repository, contents, { config, layerType: 'application/vnd.oci.image.layer.v1.tar' });
}
