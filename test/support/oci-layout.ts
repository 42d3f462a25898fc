import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../src/oci/digest.ts';
import { ociIndex } from '../../src/oci/media-types.ts';
import { type FixtureManifest, manifestOf } from './images.ts';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly os: string; readonly architecture: string };
}

interface ManifestJson {
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
}

const tagAnnotation = 'org.opencontainers.image.ref.name';

/** Images in a directory, as image-spec image-layout.md says. */
export class OciLayout {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** The bytes behind a digest. */
  read(digest: Digest): Buffer {
    return readFileSync(this.#path(digest));
  }

  /** What a tag points to. @throws Error when there is no such tag */
  digestOf(tag: string): Digest {
    return this.#find(tag).digest;
  }

  /** The manifest behind a tag: in an index, that of this architecture. */
  manifest(tag: string, architecture: string): { digest: Digest; config: Digest; layers: readonly Digest[] } {
    const top = this.#find(tag);
    const own = this.#json(top.digest).manifests?.find(({ platform }) => platform?.architecture === architecture);
    const { digest } = own ?? top;
    const { config, layers = [] } = this.#json(digest);
    if (config === undefined) throw new Error(`${tag} has no ${architecture}`);
    return { digest, config: config.digest, layers: layers.map((layer) => layer.digest) };
  }

  /** The digests of everything that a tag needs: the manifests, configs and layers of every architecture. */
  closure(tag: string): ReadonlySet<Digest> {
    return new Set(this.#below(this.digestOf(tag)));
  }

  /** The digests of the configs and layers among them. */
  blobs(tag: string): ReadonlySet<Digest> {
    const isManifest = (digest: Digest) => this.#manifests(this.digestOf(tag)).includes(digest);
    return new Set([...this.closure(tag)].filter((digest) => !isManifest(digest)));
  }

  /** Puts an index over the tags of some architectures, under a tag of its own. */
  addIndex(tag: string, architectures: Readonly<Record<string, string>>): void {
    const manifests = Object.entries(architectures).map(([architecture, of]) => {
      const { mediaType, digest, size } = this.#find(of);
      return { mediaType, digest, size, platform: { os: 'linux', architecture } };
    });
    this.#add(tag, manifestOf({ schemaVersion: 2, mediaType: ociIndex, manifests }, ociIndex));
  }

  #add(tag: string, { bytes, digest, mediaType }: FixtureManifest): void {
    writeFileSync(this.#path(digest), bytes);
    const entry: Descriptor = { mediaType, digest, size: bytes.length, annotations: { [tagAnnotation]: tag } };
    writeFileSync(this.#index, JSON.stringify({ schemaVersion: 2, manifests: [...this.#tags(), entry] }));
  }

  #below(digest: Digest): Digest[] {
    const { config, layers = [], manifests = [] } = this.#json(digest);
    const blobs = [...(config ? [config] : []), ...layers].map((blob) => blob.digest);
    return [digest, ...blobs, ...manifests.flatMap((manifest) => this.#below(manifest.digest))];
  }

  #manifests(digest: Digest): Digest[] {
    const { manifests = [] } = this.#json(digest);
    return [digest, ...manifests.flatMap((manifest) => this.#manifests(manifest.digest))];
  }

  #find(tag: string): Descriptor {
    const entry = this.#tags().find(({ annotations }) => annotations?.[tagAnnotation] === tag);
    if (entry === undefined) throw new Error(`there is no tag ${tag}`);
    return entry;
  }

  #tags(): readonly Descriptor[] {
    return (JSON.parse(readFileSync(this.#index, 'utf8')) as ManifestJson).manifests ?? [];
  }

  #json(digest: Digest): ManifestJson {
    return JSON.parse(this.read(digest).toString());
  }

  get #index(): string {
    return join(this.dir, 'index.json');
  }

  #path(digest: Digest): string {
    return join(this.dir, 'blobs', ...digest.split(':'));
  }
}
