import { availableParallelism } from 'node:os';
import { Content } from './harness/content.ts';
import { startRegistry, startRegistryProxy } from './harness/docker-registry.ts';
import { fetchManifest, manifestType, pushImage } from './harness/image.ts';
import type { BenchContext, Measure } from './harness/measure.ts';
import { alternate } from './harness/rounds.ts';
import { startWeir } from './harness/weir.ts';
import { requestsPerSecond } from './harness/wrk.ts';

const layers = 8;
const connections = 32;
const seconds = 5;

/** A manifest by digest that every program holds already: requests per second on one core, the load on another. */
export async function warmManifest({ lab, rounds, scaled }: BenchContext): Promise<readonly Measure[]> {
  const registry = await startRegistry(lab, { prefix: onCore(0) });
  const image = await pushImage(
    registry.port,
    'bench/small',
    Array.from({ length: layers }, () => new Content(1024)),
  );
  const weir = await startWeir(lab, registry.port, { prefix: onCore(0) });
  const proxy = await startRegistryProxy(lab, registry.port, { prefix: onCore(0) });
  for (const { port } of [weir, proxy]) await fetchManifest(port, image);
  const load = { path: image.manifestPath, accept: manifestType, connections, prefix: onCore(1) };
  const samples = await alternate([weir, registry, proxy], rounds, async ({ port, program }) => {
    await program.quiet();
    return requestsPerSecond({ ...load, port, seconds: scaled(seconds) });
  });
  for (const { program } of [weir, proxy, registry]) await lab.stop(program);
  const program = weir.name;
  return [
    {
      title: `Warm manifest by digest, ${connections} connections, server on one core`,
      unit: 'requests/s',
      samples,
      references: [registry.name, proxy.name],
      targets: [
        { program, bound: 'at least', value: 20_000 },
        { program, bound: 'at least', value: 12, times: registry.name },
        { program, bound: 'at least', value: 12, times: proxy.name },
      ],
    },
  ];
}

/** On a single core, all share it. */
function onCore(core: number): string[] {
  return ['taskset', '-c', String(Math.min(core, availableParallelism() - 1))];
}
