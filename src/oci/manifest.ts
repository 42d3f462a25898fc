import { type Digest, isDigest } from './digest.ts';
import { RegistryError } from './errors.ts';
import { isObject, type Json, readJson } from './json.ts';
import {
  dockerList,
  dockerManifest,
  essence,
  isForeignLayer,
  isGeneric,
  isSchema1,
  ociIndex,
  ociManifest,
  schema1,
} from './media-types.ts';

/** A pointer to content: image-spec descriptor.md. */
export interface Descriptor {
  readonly digest: Digest;
  /** Bytes, ≥ 0. A claim of whoever wrote the manifest. */
  readonly size: number;
  readonly mediaType: string;
}

/** What a manifest says, as far as a mirror needs it. */
export interface Manifest {
  readonly mediaType: string;
  /** Manifests that this index names, in order; empty for an image. */
  readonly manifests: readonly Descriptor[];
  /** Blobs that the registry has if it has this manifest: the config first, then the layers in order, duplicates kept. */
  readonly blobs: readonly Descriptor[];
  /** What a node unpacks, in this order. Foreign layers are only here. */
  readonly layers: readonly Descriptor[];
}

/** Images have some hundred layers at most. What names more would hold up everybody while it is recorded. */
const maxDescriptors = 10_000;

/**
 * Reads the bytes of a manifest that came with this `Content-Type`. What the content says of itself counts before the
 * header, so that one upstream's header cannot change what the same bytes are for another. Fields that are not known
 * are left alone: the bytes are what is kept.
 * @throws RegistryError `MANIFEST_INVALID` when these bytes are no manifest.
 */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined): Manifest {
  const json = parseObject(bytes);
  const mediaType = mediaTypeOf(json, contentType);
  if (mediaType === ociIndex || mediaType === dockerList) {
    return { mediaType, manifests: readDescriptors(json['manifests'] ?? []), blobs: [], layers: [] };
  }
  const config = readDescriptors(json['config'] === undefined ? [] : [json['config']]);
  // Schema 1 has no descriptors; OCI artifact manifests (withdrawn, but found in registries) keep theirs in `blobs`.
  const layers = readDescriptors(json['schemaVersion'] === 1 ? [] : (json['layers'] ?? json['blobs'] ?? []));
  const ours = layers.filter((layer) => !isForeignLayer(layer.mediaType));
  return { mediaType, manifests: [], blobs: [...config, ...ours], layers };
}

function parseObject(bytes: Uint8Array): Json {
  try {
    const json = readJson(bytes);
    if (isObject(json)) return json;
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
  throw invalid('it is not a JSON object');
}

function mediaTypeOf(json: Json, contentType: string | undefined): string {
  const declared = typeof json['mediaType'] === 'string' ? essence(json['mediaType']) : '';
  if (!isGeneric(declared)) return declared;
  const header = essence(contentType);
  if (json['schemaVersion'] === 1) return isSchema1(header) ? header : schema1;
  if (Array.isArray(json['manifests'])) return header === dockerList ? header : ociIndex;
  if (isImage(json)) return header === dockerManifest ? header : ociManifest;
  if (isGeneric(header)) throw invalid('its kind cannot be told');
  return header;
}

/** Artifacts may have nothing but a config. */
function isImage({ config, layers }: Json): boolean {
  return Array.isArray(layers) || isObject(config);
}

function readDescriptors(list: unknown): Descriptor[] {
  if (!Array.isArray(list)) throw invalid('a list of descriptors is not a list');
  if (list.length > maxDescriptors) throw invalid(`it names more than ${maxDescriptors} contents`);
  return list.map(readDescriptor).filter((descriptor) => descriptor !== undefined);
}

/** Content that cannot be verified here is left out: it will be unknown when it is asked for. */
function readDescriptor(json: unknown): Descriptor | undefined {
  if (!isObject(json)) throw invalid('a descriptor is not an object');
  const { digest, size, mediaType } = json;
  if (typeof digest !== 'string') throw invalid('a descriptor has no digest');
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw invalid('a descriptor has no valid size');
  if (!isDigest(digest)) return undefined;
  return { digest, size, mediaType: typeof mediaType === 'string' ? mediaType : '' };
}

function invalid(detail: string, cause?: unknown): RegistryError {
  return new RegistryError('MANIFEST_INVALID', { detail, cause });
}
