import type { PullView } from '../../src/pulls/pull-view.ts';
import { fetchRaw } from './client.ts';
import { CrioNode, type NodePull } from './crio-node.ts';
import { makeImage, makeIndex } from './images.ts';
import type { Ends, TestMirror } from './mirror.ts';
import { setScene } from './scene.ts';
import { until } from './until.ts';

// Times are a tenth of the real ones: watchdogs bite after 1 s.

/** What the mirror assumes that a node unpacks: compressed bytes per second. */
export const assumedRate = 256 * 1024;
/** Three times the watchdog to unpack, as assumed. */
export const giantSize = 3 * assumedRate;
/** The agent of Podman, which has no watchdog. */
export const podman = 'containers/5.3.0 (github.com/containers/image)';

const guarded = { watchdog: { timeout: '1s', drip: '200ms', commitRate: '256KiB' } };
const crio = { scale: 0.1 };
const patient = { ...crio, watchdog: undefined, userAgent: podman };

/** The same image, pulled by three nodes at a time. */
export interface GuardTrial {
  /** By a node with a watchdog, as it is. */
  readonly guarded: NodePull;
  /** By the same, but the mirror does not know that it has one. */
  readonly unguarded: NodePull;
  /** By a node without a watchdog. */
  readonly free: NodePull;
  /** Once more by the first one, where it has failed. */
  readonly retry: NodePull | undefined;
  /** Blobs that the retry asked for, beside the config. */
  readonly retriedLayers: number;
  /** The time of the guarded pull, as a part of the free one's. */
  readonly ratio: number;
}

/** Sizes of layers: one giant, and small ones, the last of 32 bytes, as they often are. */
export function layersWith(giant: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i === giant ? giantSize : i === count - 1 ? 32 : 2000));
}

/** What is tried: an image with layers of these sizes, on nodes that unpack at `rate` × what is assumed. */
export interface GuardCase {
  readonly layers: readonly number[];
  readonly rate: number;
}

/** Tries all of them at one mirror at the same time, once it has everything: nodes hardly do anything but wait. */
export async function tryGuard<Case extends GuardCase>(
  test: Ends,
  cases: readonly Case[],
): Promise<(Case & GuardTrial)[]> {
  const { upstream, mirror } = await setScene(test, { layers: [1], config: guarded });
  const prepared = cases.map(({ layers }, index) => {
    const image = makeImage(...layers);
    upstream.push(`team/${index}`, image.manifest.digest, image);
    upstream.putManifest(`team/${index}`, makeIndex(image), 'v1');
    return `${mirror.url}/v2/team/${index}/manifests/v1`;
  });
  for (const url of prepared) await new CrioNode({ ...patient, commitRate: Number.POSITIVE_INFINITY }).pull(url);
  const trials: Promise<Case & GuardTrial>[] = [];
  for (const [index, each] of cases.entries()) {
    const image = `up.test/team/${index}`;
    const commitRate = each.rate * assumedRate;
    const node = new CrioNode({ ...crio, commitRate });
    const pull = node.pull(prepared[index] ?? '');
    // One after the other: if all asked at once, their requests would wait for each other longer than for the network.
    await until(() => hasAsked(mirror, image));
    const blobsSent = () => mirror.log.filter(({ fields }) => fields['route'] === 'blob' && fields['image'] === image);
    const trial = tryOne(prepared[index] ?? '', { node, commitRate, pull, blobsSent: () => blobsSent().length });
    trials.push(trial.then((tried) => ({ ...each, ...tried })));
  }
  return Promise.all(trials);
}

/** Whether the guarded pull of this image has asked for all its layers. */
async function hasAsked({ adminUrl }: TestMirror, image: string): Promise<boolean> {
  const pulls: readonly PullView[] = JSON.parse((await fetchRaw(`${adminUrl}/api/pulls`)).body.toString());
  const pull = pulls.find((each) => each.runtime === 'cri-o' && each.image === `${image}:v1`);
  return pull?.layers.every(({ state }) => state !== 'not requested') === true;
}

interface Guarded {
  readonly node: CrioNode;
  readonly commitRate: number;
  readonly pull: Promise<NodePull>;
  readonly blobsSent: () => number;
}

async function tryOne(url: string, { node, commitRate, pull, blobsSent }: Guarded): Promise<GuardTrial> {
  const [guard, unguarded, free] = await Promise.all([
    pull,
    new CrioNode({ ...crio, commitRate, userAgent: podman }).pull(url),
    new CrioNode({ ...patient, commitRate }).pull(url),
  ]);
  const before = blobsSent();
  const retry = guard.error === undefined ? undefined : await node.pull(url);
  const retriedLayers = Math.max(0, blobsSent() - before - 1);
  return { guarded: guard, unguarded, free, retry, retriedLayers, ratio: guard.ms / free.ms };
}
