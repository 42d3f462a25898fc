/** Media types of manifests (image-spec media-types.md; Docker Image Manifest V2 Schema 2). */
export const ociIndex = 'application/vnd.oci.image.index.v1+json';
export const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
export const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json';

/** Signed schema 1, withdrawn: its bytes do not hash to its digest, so it cannot be kept. */
export const schema1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

/**
 * What every upstream is told to send, whatever the client accepts: a registry that misses one of these types
 * converts the manifest or answers 404. Content is kept by digest, never by `Accept`.
 */
export const acceptManifests = `${ociIndex}, ${dockerList}, ${ociManifest}, ${dockerManifest}, */*;q=0.1`;

/** RFC 6838 §4.2. */
const grammar = /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*$/;
const generic = new Set(['text/plain', 'application/json', 'application/octet-stream', 'binary/octet-stream']);

/** A media type without parameters, in lower case. */
export function essence(contentType: string | undefined): string {
  return (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** Whether a `Content-Type` says nothing about which kind of manifest this is: what is no media type does not either. */
export function isGeneric(contentType: string | undefined): boolean {
  const type = essence(contentType);
  return generic.has(type) || !grammar.test(type);
}

/**
 * Whether a registry need not have a layer of this type, which clients get from elsewhere then: image-spec layer.md,
 * "Non-Distributable Layers".
 */
export function isForeignLayer(mediaType: string): boolean {
  return /^application\/vnd\.(?:oci\.image\.layer\.nondistributable|docker\.image\.rootfs\.foreign)\./.test(mediaType);
}

/** Whether this is a schema 1 manifest, signed or not. */
export function isSchema1(mediaType: string): boolean {
  return /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)$/.test(mediaType);
}
