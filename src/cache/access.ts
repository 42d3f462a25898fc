import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import type { BlobClaim, ManifestCatalog } from '../catalog/catalog.ts';
import type { Digest } from '../oci/digest.ts';
import { isDefinite, type UpstreamError } from '../upstream/errors.ts';
import type { Route } from '../upstream/routes.ts';
import { Asking } from './asking.ts';
import { tryWrite } from './disk-failure.ts';
import { onceMore } from './once-more.ts';
import type { Permissions } from './permissions.ts';
import { nameOf } from './repository-name.ts';

/**
 * Who may read which blob. A blob is served to a repository when one of that repository's manifests names it, or when
 * the upstream says that the repository has it; never because another repository brought it here.
 */
export class Access {
  readonly #manifests: ManifestCatalog;
  readonly #clock: Clock;
  readonly #permissions: Permissions;
  readonly #asking: Asking<BlobClaim>;
  /** What the upstream refused lately, and until when (monotonic ms). */
  readonly #refused = new LRUCache<string, { error: UpstreamError; until: number }>({
    maxSize: 10_000,
    sizeCalculation: () => 1,
  });

  constructor(manifests: ManifestCatalog, permissions: Permissions, clock: Clock) {
    this.#manifests = manifests;
    this.#permissions = permissions;
    this.#clock = clock;
    this.#asking = new Asking(clock);
  }

  /**
   * Why this repository may read the blob, and how large it says that is.
   * @throws UpstreamError within 8 s: `absent` or `denied` where it may not; any other where that cannot be found out.
   */
  async claim(route: Route, digest: Digest, signal: AbortSignal): Promise<BlobClaim> {
    const claim = this.#manifests.claim(nameOf(route), digest);
    if (claim === undefined) return this.#askOnce(route, digest, signal);
    await this.#permissions.renew(route, digest, (within) => this.#ask(route, digest, within), signal);
    return claim;
  }

  /** One question for all who want to know at the same time. */
  #askOnce(route: Route, digest: Digest, signal: AbortSignal): Promise<BlobClaim> {
    return this.#asking.ask(route.registry.name, keyOf(route, digest), signal, (within) =>
      onceMore(this.#clock, within, () => this.#ask(route, digest, within)),
    );
  }

  async #ask(route: Route, digest: Digest, signal: AbortSignal): Promise<BlobClaim> {
    const { registry, repository } = route;
    const key = keyOf(route, digest);
    const refused = this.#refused.get(key);
    if (refused !== undefined && refused.until > this.#clock.now()) throw refused.error;
    try {
      const login = await registry.hasLogin(repository);
      const { size } = await registry.hasBlob(repository, digest, signal);
      tryWrite(() => this.#manifests.grantBlob(nameOf(route), digest, size, { at: this.#clock.wall(), login }));
      return { size };
    } catch (error) {
      if (isDefinite(error)) {
        this.#refused.set(key, { error, until: this.#clock.now() + registry.settings.negativeTtl });
      }
      throw error;
    }
  }
}

function keyOf({ registry, repository }: Route, digest: Digest): string {
  return `${registry.name}/${repository}@${digest}`;
}
