import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import type { BlobClaim, ManifestCatalog } from '../catalog/catalog.ts';
import type { Digest } from '../oci/digest.ts';
import { isDefinite, type UpstreamError } from '../upstream/errors.ts';
import type { Route } from '../upstream/routes.ts';
import { nameOf } from './repository-name.ts';

/**
 * Who may read which blob. A blob is served to a repository when one of that repository's manifests names it, or when
 * the upstream says that the repository has it; never because another repository brought it here.
 */
export class Access {
  readonly #manifests: ManifestCatalog;
  readonly #clock: Clock;
  /** What the upstream refused lately, and until when (monotonic ms). */
  readonly #refused = new LRUCache<string, { error: UpstreamError; until: number }>({ max: 10_000 });

  constructor(manifests: ManifestCatalog, clock: Clock) {
    this.#manifests = manifests;
    this.#clock = clock;
  }

  /**
   * Why this repository may read the blob, and how large it says that is.
   * @throws UpstreamError: `absent` or `denied` where it may not; any other where that cannot be found out.
   */
  async claim(route: Route, digest: Digest, signal: AbortSignal): Promise<BlobClaim> {
    const { registry, repository } = route;
    const name = nameOf(route);
    const claim = this.#manifests.claim(name, digest);
    if (claim !== undefined) return claim;
    const key = `${registry.name}/${repository}@${digest}`;
    const refused = this.#refused.get(key);
    if (refused !== undefined && refused.until > this.#clock.now()) throw refused.error;
    try {
      const { size } = await registry.hasBlob(repository, digest, signal);
      this.#manifests.grantBlob(name, digest, size, this.#clock.wall());
      return { size };
    } catch (error) {
      if (isDefinite(error)) {
        this.#refused.set(key, { error, until: this.#clock.now() + registry.settings.negativeTtl });
      }
      throw error;
    }
  }
}
