import { CrioNode } from './crio-node.ts';
import { makeImage } from './images.ts';
import { Line } from './line.ts';
import { type Ends, startMirror, upstreamConfig } from './mirror.ts';
import { FakeRegistry } from './registry.ts';

/** Bytes per second that the upstream brings. */
const rate = 6_000_000;
const count = 6;

/** One image, pulled by the same node from an upstream of the same rate, twice. Milliseconds. */
export interface OrderTrial {
  readonly weir: number;
  /** By way of something that gives each stream its fair part, and costs nothing. */
  readonly fair: number;
  /** The first as a part of the second. */
  readonly ratio: number;
  /** The same where one layer comes after the other, and each is unpacked while the next one comes. */
  readonly ideal: number;
}

/** Pulls six equal layers that take `seconds` to come, on a node that unpacks for `unpacking` × as long. */
export async function tryOrder(test: Ends, unpacking: number, seconds: number): Promise<OrderTrial> {
  const upstream = await FakeRegistry.start();
  test.after(() => upstream.close());
  const image = makeImage(...Array.from({ length: count }, () => (rate * seconds) / count));
  upstream.push('team/app', 'v1', image);
  upstream.push('team/small', 'v1', makeImage(1000, 1000));
  const [line, other] = [await Line.open(test, upstream.url, rate), await Line.open(test, upstream.url, rate)];
  const mirror = await startMirror(test, { config: { ...upstreamConfig(line.url), prefetch: true } });
  const pull = async (base: string, repository: string) => {
    const node = new CrioNode({ commitRate: rate / unpacking, watchdog: undefined });
    const { error, ms } = await node.pull(`${base}/v2/${repository}/manifests/v1`);
    if (error !== undefined) throw new Error(error);
    return ms;
  };
  // What is done for the first time takes longer than the network.
  for (const base of [mirror.url, other.url]) await pull(base, 'team/small');
  const weir = await pull(mirror.url, 'team/app');
  const fair = await pull(other.url, 'team/app');
  const ideal = (Math.max(1, unpacking) + Math.min(1, unpacking) / count) / (1 + unpacking);
  return { weir, fair, ratio: weir / fair, ideal };
}
