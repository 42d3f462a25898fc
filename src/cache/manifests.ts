import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import type { Catalog, ManifestRecord, TagRecord } from '../catalog/catalog.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { type Manifest, parseManifest } from '../oci/manifest.ts';
import { isSchema1 } from '../oci/media-types.ts';
import type { Reference } from '../oci/pull-path.ts';
import { isDefinite, UpstreamError } from '../upstream/errors.ts';
import type { UpstreamManifest } from '../upstream/registry.ts';
import type { Route } from '../upstream/routes.ts';
import { Asking } from './asking.ts';
import { tryWrite } from './disk-failure.ts';
import { Ages, judge } from './freshness.ts';
import { onceMore } from './once-more.ts';
import type { Permissions } from './permissions.ts';
import { nameOf } from './repository-name.ts';

/** A manifest as it is served. */
export interface ServedManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Byte for byte what the upstream sent. */
  readonly bytes: Buffer;
  /** What it says. */
  readonly contents: Manifest;
  /** Why the upstream could not be asked whether the tag still means this; `undefined` where it need not be, or was. */
  readonly stale: UpstreamError | undefined;
}

/** A manifest that is kept. */
export type HeldManifest = Omit<ServedManifest, 'stale'>;

const hotBytes = 32 * 1024 * 1024;
/** Milliseconds that a tag which is held, and not fresh, is waited for: then it is served as it was. */
const soon = 1000;

/** Manifests: by digest for ever, by tag as long as they are fresh, or stale while the upstream fails. */
export class ManifestCache {
  readonly #catalog: Catalog;
  readonly #permissions: Permissions;
  readonly #clock: Clock;
  readonly #ages: Ages;
  readonly #metrics: Metrics;
  readonly #hot = new LRUCache<Digest, HeldManifest>({
    maxSize: hotBytes,
    sizeCalculation: ({ bytes }) => bytes.length + 1,
  });
  readonly #granted = new LRUCache<string, true>({ maxSize: 50_000, sizeCalculation: () => 1 });
  readonly #absent = new LRUCache<string, { error: UpstreamError; until: number }>({
    maxSize: 10_000,
    sizeCalculation: () => 1,
  });
  readonly #asking: Asking<HeldManifest>;

  constructor(catalog: Catalog, permissions: Permissions, clock: Clock, metrics: Metrics) {
    this.#catalog = catalog;
    this.#permissions = permissions;
    this.#clock = clock;
    this.#ages = new Ages(clock);
    this.#metrics = metrics;
    this.#asking = new Asking(clock);
  }

  /**
   * The manifest behind a reference, as this repository may see it. `anew`: a tag is asked for however fresh it is, and
   * what it was before does not count. @throws UpstreamError within 8 s; RegistryError; the signal's reason.
   */
  resolve(route: Route, reference: Reference, signal: AbortSignal, { anew = false } = {}): Promise<ServedManifest> {
    return 'tag' in reference
      ? this.#byTag(route, reference.tag, signal, anew)
      : this.#byDigest(route, reference.digest, signal);
  }

  /** These have been removed from the catalog. */
  forget(digests: readonly Digest[]): void {
    for (const digest of digests) this.#hot.delete(digest);
    this.#granted.clear();
  }

  async #byDigest(route: Route, digest: Digest, signal: AbortSignal): Promise<ServedManifest> {
    const held = this.held(digest);
    if (held !== undefined && this.#isGranted(route, digest)) {
      await this.#permissions.renew(route, digest, (within) => this.#askFor(route, digest, held, within), signal);
      this.#metrics.cacheRequests.inc({ kind: 'manifest', result: 'hit' });
      return { ...held, stale: undefined };
    }
    this.#metrics.cacheRequests.inc({ kind: 'manifest', result: 'miss' });
    const key = `${keyOf(route)}@${digest}`;
    const found = await this.#asking.ask(route.registry.name, key, signal, (within) =>
      onceMore(this.#clock, within, () => this.#askFor(route, digest, held, within)),
    );
    return { ...found, stale: undefined };
  }

  /** Asks for a manifest by its digest, unless it was refused lately. */
  async #askFor(
    route: Route,
    digest: Digest,
    held: HeldManifest | undefined,
    signal: AbortSignal,
  ): Promise<HeldManifest> {
    const key = `${keyOf(route)}@${digest}`;
    const absent = this.#absent.get(key);
    if (absent !== undefined && absent.until > this.#clock.now()) throw absent.error;
    try {
      return await this.#fetch(route, { digest }, held, signal);
    } catch (error) {
      const until = this.#clock.now() + route.registry.settings.negativeTtl;
      if (isDefinite(error)) this.#absent.set(key, { error, until });
      throw error;
    }
  }

  async #byTag(route: Route, tag: string, signal: AbortSignal, anew: boolean): Promise<ServedManifest> {
    const record = this.#catalog.tags.find(nameOf(route), tag);
    const held = record?.digest === undefined ? undefined : this.held(record.digest);
    const judged = judge(record, this.#ages, route.registry.settings);
    const { fresh, usable } = anew ? { fresh: false, usable: false } : judged;
    if (fresh && record?.digest === undefined) throw absence(route, tag);
    if (fresh && held !== undefined) {
      this.#metrics.cacheRequests.inc({ kind: 'manifest', result: 'hit' });
      return { ...held, stale: undefined };
    }
    try {
      const isWaited = held === undefined || !usable;
      const found = await this.#revalidateSoon(route, tag, held, isWaited, signal);
      this.#metrics.cacheRequests.inc({ kind: 'manifest', result: found.digest === held?.digest ? 'hit' : 'miss' });
      return { ...found, stale: undefined };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof UpstreamError) || error.definite || !usable) throw error;
      return this.#stale(route, tag, record, held, error);
    }
  }

  /**
   * One question for all who wait. Who has something to be going on with waits for the answer no longer than `soon`; what
   * it is then counts for the next.
   */
  async #revalidateSoon(
    route: Route,
    tag: string,
    held: HeldManifest | undefined,
    isWaited: boolean,
    signal: AbortSignal,
  ): Promise<HeldManifest> {
    const { name } = route.registry;
    const deadline = new Deadline(this.#clock, () => new UpstreamError(name, 'timeout', 'it takes its time'), signal);
    if (!isWaited) deadline.set(soon);
    try {
      return await this.#asking.ask(name, `${keyOf(route)}:${tag}`, deadline.signal, (within) =>
        this.#revalidate(route, tag, held, within),
      );
    } finally {
      deadline.clear();
    }
  }

  /** The upstream failed: what it last said still counts. */
  #stale(
    route: Route,
    tag: string,
    record: TagRecord | undefined,
    held: HeldManifest | undefined,
    error: UpstreamError,
  ): ServedManifest {
    if (held !== undefined) {
      this.#metrics.cacheRequests.inc({ kind: 'manifest', result: 'stale' });
      return { ...held, stale: error };
    }
    throw record !== undefined && record.digest === undefined ? absence(route, tag) : error;
  }

  /** Asks the upstream what a tag is now: a HEAD where that may show that nothing has changed, since a HEAD is not counted as a pull. */
  async #revalidate(
    route: Route,
    tag: string,
    held: HeldManifest | undefined,
    signal: AbortSignal,
  ): Promise<HeldManifest> {
    try {
      const found = await this.#fetch(route, { tag }, held, signal);
      this.#note(route, tag, found.digest);
      return found;
    } catch (error) {
      // A refusal is believed: the tag is gone for us.
      if (isDefinite(error)) this.#note(route, tag, undefined);
      throw error;
    }
  }

  #note(route: Route, tag: string, digest: Digest | undefined): void {
    tryWrite(() => this.#catalog.tags.put(nameOf(route), tag, { digest, checkedAt: this.#clock.wall() }));
  }

  async #fetch(
    route: Route,
    reference: Reference,
    held: HeldManifest | undefined,
    signal: AbortSignal,
  ): Promise<HeldManifest> {
    const { registry, repository } = route;
    const login = await registry.hasLogin(repository);
    if (held !== undefined) {
      const head = await registry.headManifest(repository, reference, signal);
      if (head.digest === held.digest) return this.#grant(route, held, login);
      if ('bytes' in head) return this.#keep(route, head, login);
    }
    return this.#keep(route, await registry.manifest(repository, reference, signal), login);
  }

  #keep(route: Route, { bytes, contentType, digest }: UpstreamManifest, login: boolean): HeldManifest {
    const contents = parseManifest(bytes, contentType);
    if (isSchema1(contents.mediaType)) {
      throw new RegistryError('MANIFEST_UNKNOWN', { detail: 'schema 1 manifests are not served' });
    }
    const held = { digest, mediaType: contents.mediaType, bytes, contents };
    this.#hot.set(digest, held);
    return this.#grant(route, held, login);
  }

  #grant(route: Route, held: HeldManifest, login: boolean): HeldManifest {
    // It may have been forgotten there since it was found.
    tryWrite(() => this.#catalog.manifests.add(held, held.contents));
    tryWrite(() => this.#catalog.manifests.grant(nameOf(route), held.digest, { at: this.#clock.wall(), login }));
    this.#granted.set(`${keyOf(route)}@${held.digest}`, true);
    return held;
  }

  #isGranted(route: Route, digest: Digest): boolean {
    const key = `${keyOf(route)}@${digest}`;
    if (this.#granted.has(key)) return true;
    const granted = this.#catalog.manifests.granted(nameOf(route), digest);
    if (granted) this.#granted.set(key, true);
    return granted;
  }

  /** A manifest that is kept, whoever may see it. */
  held(digest: Digest): HeldManifest | undefined {
    const hot = this.#hot.get(digest);
    if (hot !== undefined) return hot;
    const record: ManifestRecord | undefined = this.#catalog.manifests.find(digest);
    if (record === undefined) return undefined;
    const held = { ...record, contents: parseManifest(record.bytes, record.mediaType) };
    this.#hot.set(digest, held);
    return held;
  }
}

function keyOf({ registry, repository }: Route): string {
  return `${registry.name}/${repository}`;
}

function absence({ registry }: Route, tag: string): UpstreamError {
  return new UpstreamError(registry.name, 'absent', `there was no tag ${tag} when it was last asked for`);
}
