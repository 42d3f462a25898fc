import type { Clock } from '../async/clock.ts';
import type { Catalog, ReferrersRecord } from '../catalog/catalog.ts';
import type { Digest } from '../oci/digest.ts';
import type { Json } from '../oci/json.ts';
import { readReferrers, readTags, referrersTag } from '../oci/listings.ts';
import { essence, ociIndex } from '../oci/media-types.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { Registry } from '../upstream/registry.ts';
import type { Route } from '../upstream/routes.ts';
import { Asking } from './asking.ts';
import { tryWrite } from './disk-failure.ts';
import { Ages, judge } from './freshness.ts';
import type { ManifestCache } from './manifests.ts';
import { nameOf } from './repository-name.ts';

/** One page of the tags of a repository. */
export interface TagsPage {
  readonly tags: readonly string[];
  /** What the next page is asked for with; `undefined` on the last. */
  readonly next: string | undefined;
}

/** One page of what refers to a manifest. */
export interface ReferrersPage {
  /** Descriptors, with whatever else the upstream says of them. */
  readonly descriptors: readonly Json[];
  readonly next: string | undefined;
  /** The upstream could not be asked whether this is still so. */
  readonly stale: boolean;
}

/** So long a registry is taken not to know referrers. */
const lackFor = 60 * 60_000;

/** Lists: tags as the upstream has them now; referrers remembered as tags are, their absence too. */
export class Listings {
  readonly #manifests: ManifestCache;
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #ages: Ages;
  readonly #askingTags: Asking<TagsPage>;
  readonly #askingReferrers: Asking<ReferrersPage>;
  /** Registries without the referrers API, and until when that counts (monotonic ms). */
  readonly #lacking = new WeakMap<Registry, number>();

  constructor(manifests: ManifestCache, catalog: Catalog, clock: Clock) {
    this.#manifests = manifests;
    this.#catalog = catalog;
    this.#clock = clock;
    this.#ages = new Ages(clock);
    this.#askingTags = new Asking(clock);
    this.#askingReferrers = new Asking(clock);
  }

  /** One page of tags. `page`: see `ListQuery`. @throws UpstreamError within 8 s; the signal's reason. */
  tags({ registry, repository }: Route, page: string, signal: AbortSignal): Promise<TagsPage> {
    return this.#askingTags.ask(registry.name, `${registry.name}/${repository}?${page}`, signal, async (within) => {
      const { bytes, next } = await registry.list(repository, 'tags/list', page, within);
      const tags = readTags(bytes);
      if (tags === undefined) throw new UpstreamError(registry.name, 'invalid', 'it sent no list of tags');
      return { tags, next };
    });
  }

  /**
   * One page of what refers to a manifest, of all types: none where there is nothing, however the upstream says so.
   * What it said before counts while it cannot be asked; that it refuses is believed, as it is of a tag. Of one that is
   * offline, what is not held is not there.
   * @throws UpstreamError within 8 s; the signal's reason.
   */
  async referrers(route: Route, digest: Digest, page: string, signal: AbortSignal): Promise<ReferrersPage> {
    const { name, settings } = route.registry;
    const record = this.#catalog.referrers.find(nameOf(route), digest, page);
    // No referrers are an absence: it counts as long as that of a tag.
    const known = record && {
      digest: record.content === undefined ? undefined : digest,
      checkedAt: record.checkedAt,
    };
    const { fresh, usable } = judge(known, this.#ages, settings);
    if (record !== undefined && (fresh || settings.offline)) return recalled(record, !fresh);
    const key = `${name}/${route.repository}@${digest}?${page}`;
    try {
      return await this.#askingReferrers.ask(name, key, signal, (within) => this.#fetch(route, digest, page, within));
    } catch (error) {
      signal.throwIfAborted();
      const failed = error instanceof UpstreamError && !error.definite;
      if (!failed || record === undefined || !usable) throw error;
      return recalled(record, true);
    }
  }

  async #fetch(route: Route, digest: Digest, page: string, signal: AbortSignal): Promise<ReferrersPage> {
    const found = (await this.#byApi(route, digest, page, signal)) ?? (await this.#byTag(route, digest, signal));
    if (!found.stale) {
      const content = found.descriptors.length === 0 ? undefined : JSON.stringify({ manifests: found.descriptors });
      const record = { content, next: found.next, checkedAt: this.#clock.wall() };
      tryWrite(() => this.#catalog.referrers.put(nameOf(route), digest, page, record));
    }
    return found;
  }

  async #byApi(route: Route, digest: Digest, page: string, signal: AbortSignal): Promise<ReferrersPage | undefined> {
    const { registry, repository } = route;
    if (registry.settings.offline) return undefined;
    if ((this.#lacking.get(registry) ?? 0) > this.#clock.now()) return undefined;
    try {
      const { bytes, contentType, next } = await registry.list(repository, `referrers/${digest}`, page, signal);
      if (essence(contentType) === ociIndex) return { descriptors: this.#read(bytes, registry), next, stale: false };
      // Only the first page is the same list by tag; of others, the client may have made up the query.
      if (page !== '') throw new UpstreamError(registry.name, 'absent', 'it has no such page of referrers');
    } catch (error) {
      if (page !== '' || !(error instanceof UpstreamError) || error.kind !== 'absent') throw error;
    }
    if (await this.#isThere(route, digest, signal)) this.#lacking.set(registry, this.#clock.now() + lackFor);
    return undefined;
  }

  /**
   * Whether the upstream has the manifest now. Nothing but an index is allowed for one that is there: only then is it
   * neither the manifest nor the repository that is missing.
   */
  async #isThere(route: Route, digest: Digest, signal: AbortSignal): Promise<boolean> {
    if (!this.#catalog.manifests.granted(nameOf(route), digest)) return false;
    try {
      await route.registry.headManifest(route.repository, { digest }, signal);
      return true;
    } catch (error) {
      if (error instanceof UpstreamError) return false;
      throw error;
    }
  }

  /** Registries without the API have the list as an index with a tag of its own. */
  async #byTag(route: Route, digest: Digest, signal: AbortSignal): Promise<ReferrersPage> {
    try {
      const { bytes, mediaType, stale } = await this.#manifests.resolve(route, { tag: referrersTag(digest) }, signal);
      const descriptors = mediaType === ociIndex ? this.#read(bytes, route.registry) : [];
      return { descriptors, next: undefined, stale: stale !== undefined };
    } catch (error) {
      if (!(error instanceof UpstreamError) || !(error.kind === 'absent' || error.kind === 'offline')) throw error;
      // What nobody could be asked counts for nobody else.
      return { descriptors: [], next: undefined, stale: error.kind === 'offline' };
    }
  }

  #read(bytes: Buffer, { name }: Registry): readonly Json[] {
    const descriptors = readReferrers(bytes);
    if (descriptors === undefined) throw new UpstreamError(name, 'invalid', 'it sent referrers that cannot be read');
    return descriptors;
  }
}

function recalled({ content, next }: ReferrersRecord, stale: boolean): ReferrersPage {
  const descriptors = content === undefined ? [] : (readReferrers(Buffer.from(content)) ?? []);
  return { descriptors, next, stale };
}
