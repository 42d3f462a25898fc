import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import type { ManifestCatalog } from '../catalog/catalog.ts';
import type { Digest } from '../oci/digest.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { Route } from '../upstream/routes.ts';
import { Asking } from './asking.ts';
import { Ages } from './freshness.ts';
import { nameOf } from './repository-name.ts';

/**
 * Whether what is held may still be read from repositories that are or were read with a login: that may have been revoked
 * or taken away, so the upstream is asked again every `tagTtl`. Where all may read, what is held needs no asking.
 */
export class Permissions {
  readonly #manifests: Pick<ManifestCatalog, 'seen'>;
  readonly #clock: Clock;
  readonly #ages: Ages;
  readonly #asking: Asking<void>;
  /** Until when (monotonic ms) a repository need not be asked. */
  readonly #until = new LRUCache<string, number>({ maxSize: 50_000, sizeCalculation: () => 1 });

  constructor(manifests: Pick<ManifestCatalog, 'seen'>, clock: Clock) {
    this.#manifests = manifests;
    this.#clock = clock;
    this.#ages = new Ages(clock);
    this.#asking = new Asking(clock);
  }

  /**
   * Resolves when the repository may be read. `ask` asks its upstream whether it has this content, and records that.
   * @throws UpstreamError: `absent` or `denied` as the upstream says now; any other when that cannot be found out, and
   * was last said longer than `staleIfError` ago.
   */
  async renew(
    route: Route,
    digest: Digest,
    ask: (signal: AbortSignal) => Promise<unknown>,
    signal: AbortSignal,
  ): Promise<void> {
    const { registry, repository } = route;
    const { credentials, tagTtl, negativeTtl, staleIfError } = registry.settings;
    const key = `${registry.name}/${repository}`;
    if ((this.#until.get(key) ?? 0) > this.#clock.now()) return;
    const { at, login } = this.#manifests.seen(nameOf(route), this.#clock.wall()) ?? { at: 0, login: false };
    if (credentials === undefined && !login) return this.#rest(key, tagTtl);
    const age = this.#ages.of(at);
    if (age.certain && age.ms < tagTtl) return this.#rest(key, tagTtl - age.ms);
    try {
      await this.#asking.ask(registry.name, `${key}@${digest}`, signal, async (within) => {
        if (login || (await registry.hasLogin(repository))) await ask(within);
      });
      this.#rest(key, tagTtl);
    } catch (error) {
      signal.throwIfAborted();
      // That our login fails, or that nobody answers, says nothing about the content.
      if (!(error instanceof UpstreamError) || error.definite || age.ms >= staleIfError) throw error;
      this.#rest(key, negativeTtl);
    }
  }

  #rest(key: string, ms: number): void {
    this.#until.set(key, this.#clock.now() + ms);
  }
}
