import { Content } from './harness/content.ts';
import { startRegistry } from './harness/docker-registry.ts';
import { download, receiveBuffer } from './harness/download.ts';
import { fetchManifest, type Image, pushImage } from './harness/image.ts';
import { type BenchContext, type Measure, samplesOf } from './harness/measure.ts';
import { Relay } from './harness/relay.ts';
import { alternate } from './harness/rounds.ts';
import { startWeir } from './harness/weir.ts';

const mebibytes = 256;
const gigabit = 125e6;
const laterMs = 10;
/** Pulls that are not measured: programs are compared as they are when they have served for a while. */
const earlierPulls = 30;

/** A blob that only the upstream holds, at the end of a line of 1 Gbit/s: with Weir in between, and without. */
export async function coldLimited({ lab, rounds, scaled }: BenchContext): Promise<readonly Measure[]> {
  const registry = await startRegistry(lab);
  const images: Image[] = [];
  for (let round = 0; round <= rounds; round++) {
    images.push(await pushImage(registry.port, 'bench/far', [new Content(scaled(mebibytes) * 2 ** 20)]));
  }
  const earlier = await pushImage(registry.port, 'bench/near', smallLayers());
  const relay = await Relay.open(registry.port, gigabit);
  const weir = await startWeir(lab, relay.port);
  const direct = { ...registry, name: 'direct', port: relay.port };
  const buffer = receiveBuffer();
  for (const { port } of [weir, direct]) {
    await fetchManifest(port, earlier);
    for (const path of earlier.layerPaths) await download({ port, path, buffer });
  }
  const results = await alternate([weir, direct], rounds, async ({ port, evict }, round) => {
    const image = images[round];
    if (image === undefined) throw new RangeError(`there is no image for round ${round}`);
    await fetchManifest(port, image);
    await weir.program.quiet();
    const result = await download({ port, path: image.layerPaths[0] ?? '', buffer });
    await weir.program.quiet();
    if (port === weir.port) await evict();
    return result;
  });
  await relay.close();
  for (const { program } of [weir, registry]) await lab.stop(program);
  return measures(
    samplesOf(results, ({ bytes, totalMs }) => bytes / totalMs / 1000),
    samplesOf(results, ({ firstByteMs }) => firstByteMs),
    scaled(mebibytes),
  );
}

function smallLayers(): Content[] {
  return Array.from({ length: earlierPulls }, () => new Content(2 ** 20));
}

function measures(rates: Map<string, number[]>, firstBytes: Map<string, number[]>, size: number): readonly Measure[] {
  const direct = firstBytes.get('direct') ?? [];
  const later = (firstBytes.get('Weir') ?? []).map((ms, round) => ms - (direct[round] ?? 0));
  return [
    {
      title: `Cold blob of ${size} MiB, upstream at 1 Gbit/s: throughput`,
      unit: 'MB/s',
      samples: rates,
      references: ['direct'],
      targets: [{ program: 'Weir', bound: 'at least', value: 0.95, times: 'direct' }],
    },
    {
      title: 'The same: first byte',
      unit: 'ms',
      samples: new Map([...firstBytes, ['Weir, later than direct', later]]),
      references: [],
      targets: [{ program: 'Weir, later than direct', bound: 'at most', value: laterMs }],
    },
  ];
}
