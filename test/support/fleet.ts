import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from './client.ts';
import { type FixtureImage, makeImage } from './images.ts';
import { type Ends, type MirrorOptions, startMirror, type TestMirror, upstreamConfig } from './mirror.ts';
import { FakeRegistry } from './registry.ts';

/** Who pulls. */
export interface FleetNode {
  readonly address: string;
  readonly userAgent: string;
}

/** A cluster: an upstream with images, a mirror behind a balancer, and nodes. Ends with the test. */
export class Fleet {
  readonly upstream: FakeRegistry;
  readonly mirror: TestMirror;

  private constructor(upstream: FakeRegistry, mirror: TestMirror) {
    this.upstream = upstream;
    this.mirror = mirror;
  }

  static async start(test: Ends, { config, ...options }: MirrorOptions = {}): Promise<Fleet> {
    const upstream = await FakeRegistry.start();
    test.after(() => upstream.close());
    const behind = { clients: { trustProxy: ['127.0.0.0/8'] }, ...(config as object) };
    const ours = { ...upstreamConfig(upstream.url, { stallTimeout: '60s' }), ...behind };
    return new Fleet(upstream, await startMirror(test, { ...options, config: ours }));
  }

  /** Puts an image of layers of these sizes upstream, under a name like `team/app:v1`. */
  push(name: string, ...sizes: readonly number[]): FixtureImage {
    const [repository = '', tag = ''] = name.split(':');
    const image = makeImage(...sizes);
    this.upstream.push(repository, tag, image);
    return image;
  }

  /** One node pulls an image, or only these layers of it, all at the same time; how that ends does not matter. */
  async pull(
    node: FleetNode,
    name: string,
    image: FixtureImage,
    layers: readonly Buffer[] = image.layers,
  ): Promise<void> {
    const [repository = '', tag = ''] = name.split(':');
    const headers = { 'user-agent': node.userAgent, 'x-forwarded-for': node.address };
    const of = `${this.mirror.url}/v2/${repository}`;
    await fetchRaw(`${of}/manifests/${tag}`, { headers });
    const blobs = [image.config, ...layers].map((layer) => fetchRaw(`${of}/blobs/${digestOf(layer)}`, { headers }));
    await Promise.allSettled(blobs);
  }
}

/** A node by its number: one in two has a watchdog. */
export function fleetNode(number: number): FleetNode {
  const userAgents = ['cri-o/1.31.2', 'containerd/v2.0.4', 'cri-o/1.30.12', 'containers/5.3.0', 'docker/27.3.1'];
  const address = `10.${number >> 8}.${number & 255}.${(number * 7) % 250}`;
  return { address, userAgent: userAgents[number % userAgents.length] ?? '' };
}
