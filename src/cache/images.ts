import type { Catalog, ImageRecord, Pin, RepositoryName } from '../catalog/catalog.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import type { Reference } from '../oci/pull-path.ts';
import type { Evictor } from './evictor.ts';
import type { ManifestCache } from './manifests.ts';
import type { Uses } from './uses.ts';

/** An image, as it is shown. */
export interface ImageView {
  readonly upstream: string;
  readonly repository: string;
  readonly tag: string | null;
  /** `null` for a tag that is pinned, and not here. */
  readonly digest: Digest | null;
  /** Bytes of blobs that are held. */
  readonly held: number;
  /** Bytes of all blobs that its known manifests name. */
  readonly size: number;
  /** Whether all of these are held. Platforms that nobody has asked for do not count. */
  readonly complete: boolean;
  /** When one of its blobs was used last: epoch ms; `null` where none is held. */
  readonly usedAt: number | null;
  readonly pinned: boolean;
}

/** What images are made of. */
export interface ImagesParts {
  readonly catalog: Catalog;
  readonly evictor: Pick<Evictor, 'remove'>;
  readonly manifests: Pick<ManifestCache, 'forget'>;
  readonly uses: Uses;
}

/** What is kept, seen as images. */
export class Images {
  readonly #parts: ImagesParts;

  constructor(parts: ImagesParts) {
    this.#parts = parts;
  }

  /** All of them. */
  list(): ImageView[] {
    return listImages(this.#parts.catalog);
  }

  /** Keeps an image from going, whether or not it is here already. */
  pin(repository: RepositoryName, reference: Reference): void {
    this.#parts.catalog.pins.add({ repository, reference: textOf(reference) });
  }

  /** @returns whether it was pinned. */
  unpin(repository: RepositoryName, reference: Reference): boolean {
    return this.#parts.catalog.pins.remove({ repository, reference: textOf(reference) });
  }

  isPinned(repository: RepositoryName, reference: Reference): boolean {
    const key = keyOf(repository, textOf(reference));
    return this.#parts.catalog.pins.list().some((pin) => keyOf(pin.repository, pin.reference) === key);
  }

  /**
   * Forgets an image, and removes all of it that no other image has. What is being read goes when there is need of room.
   * @returns whether there was one. @throws StorageError
   */
  async remove(repository: RepositoryName, reference: Reference): Promise<boolean> {
    const { catalog, evictor, manifests, uses } = this.#parts;
    const image = 'tag' in reference ? { ...reference, digest: undefined } : { ...reference, tag: undefined };
    const removed = catalog.images.remove({ repository, ...image });
    if (removed === undefined) return false;
    manifests.forget(removed.manifests);
    for (const digest of removed.blobs) if (!uses.has(digest)) await evictor.remove({ digest, name: undefined });
    return true;
  }
}

/** What a catalog knows of images, and what is pinned without being here. */
export function listImages(catalog: Catalog): ImageView[] {
  catalog.flush();
  const pins = new Map(catalog.pins.list().map((pin) => [keyOf(pin.repository, pin.reference), pin]));
  const images = catalog.images.list();
  const listed = new Set(images.flatMap((image) => keysOf(image)));
  const others = [...pins].filter(([key]) => !listed.has(key)).map(([, pin]) => imageOf(pin));
  return [...images, ...others].map((image) => viewImage(catalog, image, pins));
}

/** What is shown: a tag that is pinned may have no digest yet. */
type Shown = Omit<ImageRecord, 'digest'> & { readonly digest: Digest | undefined };

function imageOf({ repository, reference }: Pin): Shown {
  return isDigest(reference)
    ? { repository, tag: undefined, digest: reference }
    : { repository, tag: reference, digest: undefined };
}

function viewImage(catalog: Catalog, image: Shown, pins: ReadonlyMap<string, Pin>): ImageView {
  const { repository, tag, digest } = image;
  const { blobs } = digest === undefined ? { blobs: [] } : catalog.images.contents(digest);
  const held = blobs.filter(({ usedAt }) => usedAt !== undefined);
  const usedAt = held.reduce<number | null>((latest, each) => Math.max(latest ?? 0, each.usedAt ?? 0), null);
  return {
    upstream: repository.upstream,
    repository: repository.name,
    tag: tag ?? null,
    digest: digest ?? null,
    held: sum(held),
    size: sum(blobs),
    complete: blobs.length > 0 && held.length === blobs.length,
    usedAt,
    pinned: keysOf(image).some((key) => pins.has(key)),
  };
}

/** By what it may be pinned. */
function keysOf({ repository, tag, digest }: Shown): string[] {
  return [tag, digest].filter((reference) => reference !== undefined).map((reference) => keyOf(repository, reference));
}

function sum(blobs: readonly { readonly size: number }[]): number {
  return blobs.reduce((total, { size }) => total + size, 0);
}

function textOf(reference: Reference): string {
  return 'tag' in reference ? reference.tag : reference.digest;
}

function keyOf({ upstream, name }: RepositoryName, reference: string): string {
  return `${upstream} ${name} ${reference}`;
}
