import type { Digest } from '../oci/digest.ts';
import type { Descriptor } from '../oci/manifest.ts';

// All times are wall time: milliseconds since the Unix epoch.

/** A repository of one upstream. */
export interface RepositoryName {
  readonly upstream: string;
  readonly name: string;
}

/** Verified content that is in storage. */
export interface BlobRecord {
  readonly digest: Digest;
  readonly size: number;
  readonly usedAt: number;
}

/** A run of bytes within one chunk, with its CRC-32. */
export interface PieceRecord {
  readonly start: number;
  readonly end: number;
  readonly crc: number;
}

/** Content that is arriving, or was left unfinished. */
export interface PartialRecord {
  /** Its name in storage. */
  readonly name: string;
  readonly upstream: string;
  readonly digest: Digest;
  readonly size: number;
  readonly usedAt: number;
}

/** What is in storage, verified. */
export interface BlobCatalog {
  find(digest: Digest): BlobRecord | undefined;
  /** The CRC-32 of each chunk, in order; empty when the blob is not there. */
  checksums(digest: Digest): Uint32Array;
  add(blob: BlobRecord, checksums: Uint32Array): void;
  remove(digest: Digest): void;
  /** How often something was removed since the catalog was opened: while it stays the same, what was found is still there. */
  readonly removals: number;
  /** Remembers a use. Buffered: a crash may lose it. */
  touch(digest: Digest, usedAt: number): void;
  /** Every digest that is recorded. */
  digests(): Digest[];
}

/** What is in storage, unfinished. */
export interface PartialCatalog {
  find(upstream: string, digest: Digest, size: number): PartialRecord | undefined;
  list(): PartialRecord[];
  /** Adds it, or updates its `usedAt`. */
  put(partial: PartialRecord): void;
  /** Replaces what is recorded of these chunks (indexes) by these pieces. */
  record(name: string, chunks: readonly number[], pieces: readonly PieceRecord[]): void;
  pieces(name: string): PieceRecord[];
  /** Bytes that count of it: those that are recorded, or more where it was found to take more. */
  bytes(name: string): number;
  /** It takes so many bytes in storage now, however few are recorded. More than its size never counts. */
  measure(name: string, bytes: number): void;
  remove(name: string): void;
}

/** Something that can be evicted. */
export interface Evictable {
  readonly digest: Digest;
  /** Its name in storage, where it is unfinished; `undefined` for a blob. */
  readonly name: string | undefined;
  readonly bytes: number;
  readonly usedAt: number;
}

/** How much there is, and what goes first. */
export interface UsageCatalog {
  /** Bytes that count: of blobs and of partials. */
  bytes(): number;
  /** When something that is here was used last; 0 where nothing is. */
  latest(): number;
  /** The least recently used, oldest first. */
  oldest(limit: number): Evictable[];
}

/** A manifest, byte for byte. */
export interface ManifestRecord {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** What a manifest names. */
export interface ManifestContents {
  readonly manifests: readonly Descriptor[];
  readonly blobs: readonly Descriptor[];
}

/** Why a blob may be served to a repository, and how large that repository says it is. */
export interface BlobClaim {
  /** Bytes, where a descriptor or the upstream said so. */
  readonly size: number | undefined;
}

/** That an upstream said that a repository has something. */
export interface Sighting {
  readonly at: number;
  /** Whether it said so to somebody with a login: others may not see it. */
  readonly login: boolean;
}

/**
 * Manifests, and who may see what. Those of which nothing else is here may be forgotten, where an upstream spoke of them
 * longest ago.
 */
export interface ManifestCatalog {
  find(digest: Digest): ManifestRecord | undefined;
  add(manifest: ManifestRecord, contents: ManifestContents): void;
  /** The repository has this manifest: the upstream said so. */
  grant(repository: RepositoryName, digest: Digest, seen: Sighting): void;
  /** Whether the upstream has ever said that the repository has this manifest. */
  granted(repository: RepositoryName, digest: Digest): boolean;
  /** When the upstream last said that the repository has something: by `now`, or later only where there is nothing else. */
  seen(repository: RepositoryName, now: number): Sighting | undefined;
  /** The repository has this blob: the upstream said so. */
  grantBlob(repository: RepositoryName, digest: Digest, size: number | undefined, seen: Sighting): void;
  /** A repository that has this blob, the one that its upstream spoke of last; `undefined` where none is known. */
  owner(digest: Digest): RepositoryName | undefined;
  /** Why the repository may read this blob: one of its manifests names it, or the upstream has said so. */
  claim(repository: RepositoryName, digest: Digest): BlobClaim | undefined;
  /**
   * A blob has gone: manifests that named it go with the last of their blobs, an index with the last of its manifests,
   * and with them what is known of tags and repositories. Blobs that are `kept` are there, or about to be.
   * @returns the manifests that went.
   */
  abandon(blob: Digest, kept: (digest: Digest) => boolean): Digest[];
}

/** What a tag was when the upstream was last asked. */
export interface TagRecord {
  /** `undefined`: the upstream said that there is no such tag. */
  readonly digest: Digest | undefined;
  readonly checkedAt: number;
}

/** Tags, their absence included: that may be forgotten, where it was checked longest ago. */
export interface TagCatalog {
  find(repository: RepositoryName, tag: string): TagRecord | undefined;
  put(repository: RepositoryName, tag: string, record: TagRecord): void;
}

/** What referred to a manifest when the upstream was last asked: one page of it. */
export interface ReferrersRecord {
  /** The JSON of an index; `undefined`: there was nothing. */
  readonly content: string | undefined;
  /** What the next page is asked for with. */
  readonly next: string | undefined;
  readonly checkedAt: number;
}

/**
 * Referrers, their absence included. What was checked longest ago may be forgotten; what is very long is not kept, nor is
 * a page that no kept page of the same list leads to: clients can make up any number of them.
 */
export interface ReferrersCatalog {
  find(repository: RepositoryName, digest: Digest, page: string): ReferrersRecord | undefined;
  put(repository: RepositoryName, digest: Digest, page: string, record: ReferrersRecord): void;
}

/** An image that stays. */
export interface Pin {
  readonly repository: RepositoryName;
  /** A tag or a digest. */
  readonly reference: string;
}

/** Images that stay, however long they are not used. */
export interface PinCatalog {
  add(pin: Pin): void;
  /** @returns whether there was one. */
  remove(pin: Pin): boolean;
  list(): Pin[];
  /** Every manifest and blob that a pinned image names, as its tag is now. */
  contents(): ReadonlySet<Digest>;
}

/** An image that is known: a tag, or a manifest that was pulled by its digest. */
export interface ImageRecord {
  readonly repository: RepositoryName;
  /** `undefined` where it has none. */
  readonly tag: string | undefined;
  readonly digest: Digest;
}

/** What there is of an image. */
export interface ImageContents {
  /** The image's manifest, and those that it names and that are known. */
  readonly manifests: readonly Digest[];
  /** What they name, each once, with its size, and when it was used where it is in storage. */
  readonly blobs: readonly { readonly digest: Digest; readonly size: number; readonly usedAt: number | undefined }[];
}

/** What was removed with an image. */
export interface RemovedImage {
  readonly manifests: readonly Digest[];
  /** Blobs that no manifest names any more. */
  readonly blobs: readonly Digest[];
}

/** What is kept, as images. */
export interface ImageCatalog {
  list(): ImageRecord[];
  contents(digest: Digest): ImageContents;
  /** Forgets an image, and all of it that no other image has. @returns `undefined` when there is none. */
  remove(image: Omit<ImageRecord, 'digest'> & { readonly digest: Digest | undefined }): RemovedImage | undefined;
}

/** The facts about what is kept. Synchronous: each call is a few microseconds, and nothing interleaves. */
export interface Catalog {
  readonly blobs: BlobCatalog;
  readonly partials: PartialCatalog;
  readonly usage: UsageCatalog;
  readonly manifests: ManifestCatalog;
  readonly tags: TagCatalog;
  readonly referrers: ReferrersCatalog;
  readonly pins: PinCatalog;
  readonly images: ImageCatalog;
  /** Writes what is buffered. */
  flush(): void;
  close(): void;
}

/** The catalog cannot be opened: another process has it, or a newer version wrote it. The message says the remedy. */
export class CatalogError extends Error {
  override readonly name = 'CatalogError';
}
