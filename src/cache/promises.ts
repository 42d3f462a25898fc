import type { Clock } from '../async/clock.ts';
import type { BlobCatalog } from '../catalog/catalog.ts';
import type { Digest } from '../oci/digest.ts';
import type { Manifest } from '../oci/manifest.ts';
import { isDefinite, UpstreamError } from '../upstream/errors.ts';
import type { Route } from '../upstream/routes.ts';
import { Asking } from './asking.ts';
import type { Flights } from './flights.ts';
import type { ManifestCache, ServedManifest } from './manifests.ts';

/** Indexes within indexes are looked into so deep. */
const deepest = 4;

/** What tells whether a promise can be kept. */
export interface PromisesParts {
  readonly blobs: Pick<BlobCatalog, 'find' | 'removals'>;
  readonly flights: Pick<Flights, 'hasLanded'>;
  readonly manifests: Pick<ManifestCache, 'held'>;
  readonly clock: Clock;
}

/**
 * A manifest that is served promises every blob that it names: clients of containers/image turn to another mirror only
 * before they have it. So it is served when all its blobs are held, or when the upstream is there to give the others. An
 * index promises what one of its manifests does: which one the client will choose is not known, and those that nobody
 * has pulled through here are not held.
 */
export class Promises {
  readonly #parts: PromisesParts;
  readonly #probes: Asking<void>;
  /** What was found to be held, and how much had been removed by then. */
  readonly #whole = new WeakMap<Manifest, number>();

  constructor(parts: PromisesParts) {
    this.#parts = parts;
    this.#probes = new Asking(parts.clock);
  }

  /**
   * Returns when the promise can be kept, as far as that can be known.
   * @throws UpstreamError within 8 s when it cannot; the signal's reason.
   */
  async check(route: Route, manifest: ServedManifest, signal: AbortSignal): Promise<void> {
    const { registry } = route;
    const { contents, digest, stale } = manifest;
    // While all is well, nothing is looked up: manifests are asked for much more often than pulled.
    if (this.#isKnownWhole(contents) || (stale === undefined && registry.health.well)) return;
    if (this.#isWhole(contents, 0)) return;
    if (stale === undefined) {
      const key = `${registry.name}/${route.repository}@${digest}`;
      await this.#probes.ask(registry.name, key, signal, (within) => probe(route, digest, within));
    } else if (stale.kind !== 'limited') {
      // It was asked just now. A limit on manifests is none on blobs.
      throw stale;
    }
  }

  #isKnownWhole(contents: Manifest): boolean {
    return this.#whole.get(contents) === this.#parts.blobs.removals;
  }

  #isWhole(contents: Manifest, depth: number): boolean {
    if (this.#isKnownWhole(contents)) return true;
    if (contents.manifests.length === 0) return this.#hasBlobs(contents);
    const whole = contents.manifests
      .map(({ digest }) => (depth < deepest ? this.#parts.manifests.held(digest)?.contents : undefined))
      .find((each) => each !== undefined && this.#isWhole(each, depth + 1));
    if (whole !== undefined && this.#isKnownWhole(whole)) this.#remember(contents);
    return whole !== undefined;
  }

  #hasBlobs(contents: Manifest): boolean {
    const { blobs, flights } = this.#parts;
    const missing = contents.blobs.filter(({ digest }) => blobs.find(digest) === undefined);
    if (missing.length === 0) this.#remember(contents);
    return missing.every(({ digest }) => flights.hasLanded(digest));
  }

  #remember(contents: Manifest): void {
    this.#whole.set(contents, this.#parts.blobs.removals);
  }
}

/** Whatever the upstream says of the manifest, it is there. */
async function probe({ registry, repository }: Route, digest: Digest, signal: AbortSignal): Promise<void> {
  try {
    await registry.headManifest(repository, { digest }, signal);
  } catch (error) {
    if (isDefinite(error) || (error instanceof UpstreamError && error.kind === 'limited')) return;
    throw error;
  }
}
