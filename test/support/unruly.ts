import { digestOf } from '../../src/oci/digest.ts';
import { CrioNode, type NodePull } from './crio-node.ts';
import { endEarly, type Fault, resetAfter, stallAfter, status, wrongRange } from './faults.ts';
import { type FixtureImage, makeImage, makeIndex } from './images.ts';
import { type Ends, startMirror, upstreamConfig } from './mirror.ts';
import { startPassThrough } from './pass-through.ts';
import { Random } from './random.ts';
import { FakeRegistry } from './registry.ts';

/** Real milliseconds for one of a node's: its watchdog bites after 5 s. */
const scale = 0.5;
/** Milliseconds that an upstream is silent, where it is: longer than the watchdog waits. */
const silence = 8000;
/** Nodes that pull at a time. */
const nodes = 12;
/** As times of nodes are scaled; a busy machine is not to be taken for a stall. */
const scaled = { upstream: { stallTimeout: '2s' }, watchdog: { timeout: '5s', drip: '1s', guard: 'off' } };

/** What a node is told when no promise can be made. */
const refusal = /^reading manifest: status 50[234]$/;

/** How pulls fared by one way. */
export interface WayReport {
  readonly pulls: number;
  /** By the node's watchdog. */
  readonly cancelled: number;
  readonly failed: number;
  /** What those that failed said. */
  readonly errors: readonly string[];
  readonly longestGap: number;
  /** Times that a manifest was refused, and asked for again: a node would turn to the next mirror. */
  readonly refused: number;
}

/** The same pulls, of an upstream that misbehaves in the same ways: with Weir in between, and with what does nothing. */
export async function pullFromUnruly(
  ends: Ends,
  pulls: number,
  seed: number,
): Promise<{ weir: WayReport; unprotected: WayReport }> {
  const images = Array.from(
    { length: pulls },
    (_, index) => new UnrulyImage(index, new Random(seed * 100_000 + index)),
  );
  const prepare = async () => {
    const registry = await FakeRegistry.start();
    ends.after(() => registry.close());
    for (const image of images) image.pushTo(registry);
    return registry;
  };
  const behindWeir = await prepare();
  const config = { ...upstreamConfig(behindWeir.url, scaled.upstream), watchdog: scaled.watchdog, prefetch: true };
  const { url } = await startMirror(ends, { config });
  const passed = await startPassThrough(ends, (await prepare()).url);
  const [weir, unprotected] = await Promise.all([pullAll(url, images), pullAll(passed, images)]);
  return { weir, unprotected };
}

async function pullAll(base: string, images: readonly UnrulyImage[]): Promise<WayReport> {
  const queue = [...images];
  const report = { pulls: 0, cancelled: 0, longestGap: 0, refused: 0 };
  const errors: string[] = [];
  const work = async () => {
    for (let image = queue.shift(); image !== undefined; image = queue.shift()) {
      const { cancelled, error, longestGap, refusals } = await pullPatiently(base, image, images.length);
      report.refused += refusals;
      report.pulls++;
      if (cancelled) report.cancelled++;
      else if (error !== undefined) errors.push(error);
      report.longestGap = Math.max(report.longestGap, longestGap);
    }
  };
  await Promise.all(Array.from({ length: nodes }, work));
  return { ...report, failed: errors.length, errors };
}

/** Where it is refused before it has begun, it is tried again. */
async function pullPatiently(
  base: string,
  { repository }: UnrulyImage,
  limit: number,
): Promise<NodePull & { readonly refusals: number }> {
  const node = new CrioNode({ scale, commitRate: Number.POSITIVE_INFINITY });
  for (let refusals = 0; ; refusals++) {
    const pull = await node.pull(`${base}/v2/${repository}/manifests/v1`);
    if (refusals >= limit || !refusal.test(pull.error ?? '')) return { ...pull, refusals };
  }
}

/** An image, and what goes wrong with its layers. */
class UnrulyImage {
  readonly repository: string;
  readonly #image: FixtureImage;
  readonly #faults: readonly (() => Fault)[];

  constructor(index: number, random: Random) {
    this.repository = `team/app${index}`;
    this.#image = makeImage(...Array.from({ length: 1 + random.below(4) }, () => 1000 + random.below(600_000)));
    this.#faults = this.#image.layers.flatMap((layer) => {
      const end = `${this.repository}/blobs/${digestOf(layer)}`;
      const only = (path: string) => path.endsWith(end);
      return Array.from({ length: random.below(3) }, () => unrulyFault(random, layer.length, only));
    });
  }

  pushTo(registry: FakeRegistry): void {
    registry.push(this.repository, this.#image.manifest.digest, this.#image);
    registry.putManifest(this.repository, makeIndex(this.#image), 'v1');
    registry.faults.push(...this.#faults.map((make) => make()));
  }
}

/** Each registry has its own, since each strikes once. */
function unrulyFault(random: Random, size: number, only: (path: string) => boolean): () => Fault {
  const offset = random.below(size);
  return random.pick([
    () => stallAfter(offset, silence, { only }),
    () => stallAfter(0, silence, { only }),
    () => endEarly(offset, { only }),
    () => resetAfter(offset, { only }),
    () => status(503, { only }),
    () => wrongRange({ only }),
  ]);
}
