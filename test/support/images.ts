import { randomBytes } from 'node:crypto';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { ociIndex, ociManifest } from '../../src/oci/media-types.ts';
import { noise } from './noise.ts';

/** A manifest as it lies in a registry. */
export interface FixtureManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly digest: Digest;
}

/** An image: its manifest, and its blobs in the order of the manifest (the config first). */
export interface FixtureImage {
  readonly manifest: FixtureManifest;
  readonly config: Buffer;
  readonly layers: readonly Buffer[];
  readonly blobs: ReadonlyMap<Digest, Buffer>;
}

/** Any JSON as a manifest. */
export function manifestOf(json: unknown, mediaType: string): FixtureManifest {
  const bytes = Buffer.from(JSON.stringify(json, undefined, 2));
  return { bytes, mediaType, digest: digestOf(bytes) };
}

/** An image whose layers are noise of these sizes. Layers are not archives: only for clients that do not unpack. */
export function makeImage(...layerSizes: readonly number[]): FixtureImage {
  const layers = layerSizes.map(noise);
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', salt: randomBytes(8).toString('hex') }),
  );
  const blobs = new Map<Digest, Buffer>([config, ...layers].map((bytes) => [digestOf(bytes), bytes]));
  const manifest = manifestOf(
    {
      schemaVersion: 2,
      mediaType: ociManifest,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
      layers: layers.map((bytes) => ({
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        digest: digestOf(bytes),
        size: bytes.length,
      })),
    },
    ociManifest,
  );
  return { manifest, config, layers, blobs };
}

/** An index over images. */
export function makeIndex(...images: readonly FixtureImage[]): FixtureManifest {
  const manifests = images.map(({ manifest: { digest, mediaType, bytes } }, index) => ({
    mediaType,
    digest,
    size: bytes.length,
    platform: { os: 'linux', architecture: ['amd64', 'arm64', 's390x'][index] ?? `arch${index}` },
  }));
  return manifestOf({ schemaVersion: 2, mediaType: ociIndex, manifests }, ociIndex);
}
