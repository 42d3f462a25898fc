import type { Clock } from '../async/clock.ts';
import { sleep } from '../async/clock.ts';
import type { BlobCatalog } from '../catalog/catalog.ts';
import type { Digest } from '../oci/digest.ts';
import type { Descriptor } from '../oci/manifest.ts';
import { platformsOf } from '../oci/platforms.ts';
import type { Reference } from '../oci/pull-path.ts';
import type { Route } from '../upstream/routes.ts';
import type { BlobCache } from './blobs.ts';
import type { Flights } from './flights.ts';
import type { ManifestCache, ServedManifest } from './manifests.ts';

/** How far one blob has come. */
export interface WarmBlob {
  readonly digest: Digest;
  readonly size: number;
  /** Bytes that are here. */
  readonly held: number;
}

/** What is told while images are brought. */
export type WarmEvent =
  | { readonly kind: 'blob'; readonly blob: WarmBlob }
  | { readonly kind: 'failed'; readonly digest: Digest | undefined; readonly error: unknown };

/** What warming works with. */
export interface WarmingParts {
  readonly blobs: Pick<BlobCache, 'expect'>;
  readonly catalog: { readonly blobs: Pick<BlobCatalog, 'find'> };
  readonly flights: Pick<Flights, 'views'>;
  readonly manifests: Pick<ManifestCache, 'resolve'>;
  readonly clock: Clock;
}

/** What is brought. */
export interface WarmDemand {
  readonly route: Route;
  readonly reference: Reference;
  /** Platforms like `linux/arm64`; `undefined` for all. */
  readonly platforms: readonly string[] | undefined;
}

const atATime = 4;
const reportEvery = 250;

/** Brings whole images before anybody asks for them. What has come stays, so another attempt goes on from there. */
export class Warming {
  readonly #parts: WarmingParts;

  constructor(parts: WarmingParts) {
    this.#parts = parts;
  }

  /** Brings an image, and tells how that goes. @returns whether all of it is held at the end. @throws the signal's reason */
  async run(demand: WarmDemand, tell: (event: WarmEvent) => void, signal: AbortSignal): Promise<boolean> {
    const wanted = new Map<Digest, Descriptor>();
    let whole = true;
    const fail = (digest: Digest | undefined, error: unknown) => {
      signal.throwIfAborted();
      whole = false;
      tell({ kind: 'failed', digest, error });
    };
    await this.#collect(demand, demand.reference, wanted, fail, signal);
    const ended = new AbortController();
    const reporting = this.#report(wanted, tell, AbortSignal.any([signal, ended.signal]));
    const waiting = [...wanted.values()];
    const worker = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        await this.#bring(demand, next, fail, signal);
    };
    await Promise.all(Array.from({ length: atATime }, worker)).finally(() => ended.abort(new Error('all is over')));
    await reporting;
    return whole && [...wanted.keys()].every((digest) => this.#parts.catalog.blobs.find(digest) !== undefined);
  }

  async #collect(
    { route, platforms }: WarmDemand,
    reference: Reference,
    wanted: Map<Digest, Descriptor>,
    fail: (digest: Digest | undefined, error: unknown) => void,
    signal: AbortSignal,
  ): Promise<void> {
    let manifest: ServedManifest;
    try {
      manifest = await this.#parts.manifests.resolve(route, reference, signal);
    } catch (error) {
      fail('digest' in reference ? reference.digest : undefined, error);
      return;
    }
    for (const blob of manifest.contents.blobs) wanted.set(blob.digest, blob);
    const children = platforms === undefined ? manifest.contents.manifests : platformsOf(manifest.bytes, platforms);
    if (manifest.contents.manifests.length > 0 && children.length === 0)
      fail(manifest.digest, new Error('it has none of these platforms'));
    for (const { digest } of children)
      await this.#collect({ route, platforms, reference }, { digest }, wanted, fail, signal);
  }

  async #bring(
    { route }: WarmDemand,
    { digest }: Descriptor,
    fail: (digest: Digest, error: unknown) => void,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.#parts.blobs.expect(route, digest, { share: { servedAt: 0 }, layer: 0 }, signal);
      if (this.#parts.catalog.blobs.find(digest) === undefined)
        fail(digest, new Error('it did not come, or was not kept'));
    } catch (error) {
      fail(digest, error);
    }
  }

  /** Tells of each blob that has moved, until the signal aborts; then once more. */
  async #report(
    wanted: ReadonlyMap<Digest, Descriptor>,
    tell: (event: WarmEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const told = new Map<Digest, number>();
    for (let over = false; !over; ) {
      over = signal.aborted;
      const arriving = new Map(this.#parts.flights.views().map((view) => [view.digest, view]));
      for (const { digest, size } of wanted.values()) {
        const stored = this.#parts.catalog.blobs.find(digest) !== undefined;
        const runs = arriving.get(digest)?.held ?? [];
        const held = stored ? size : runs.reduce((total, [start, end]) => total + end - start, 0);
        if (told.get(digest) === held) continue;
        told.set(digest, held);
        tell({ kind: 'blob', blob: { digest, size, held } });
      }
      if (!over) await sleep(this.#parts.clock, reportEvery, signal).catch(() => {});
    }
  }
}
