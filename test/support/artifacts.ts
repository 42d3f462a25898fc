import { digestOf } from '../../src/oci/digest.ts';
import { ociIndex, ociManifest } from '../../src/oci/media-types.ts';
import { type FixtureManifest, manifestOf } from './images.ts';
import { describe } from './listings.ts';

/** The empty descriptor of image-spec. */
export const emptyConfig = Buffer.from('{}');

const emptyDescriptor = {
  mediaType: 'application/vnd.oci.empty.v1+json',
  digest: digestOf(emptyConfig),
  size: emptyConfig.length,
};

/** A manifest that refers to another one: a signature, an SBOM. `note` tells several of a kind apart. */
export function makeReferrer(subject: FixtureManifest, artifactType: string, note: string): FixtureManifest {
  const { mediaType, digest, bytes } = subject;
  const json = {
    schemaVersion: 2,
    mediaType: ociManifest,
    artifactType,
    config: emptyDescriptor,
    layers: [emptyDescriptor],
    subject: { mediaType, digest, size: bytes.length },
    annotations: { note },
  };
  return manifestOf(json, ociManifest);
}

/** The index that registries without the referrers API keep under the tag of the subject. */
export function makeReferrersIndex(...referrers: readonly FixtureManifest[]): FixtureManifest {
  return manifestOf({ schemaVersion: 2, mediaType: ociIndex, manifests: referrers.map(describe) }, ociIndex);
}
