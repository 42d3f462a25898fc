import { algorithmOf, type Digest, hexOf } from './digest.ts';
import { isObject, type Json, readJson } from './json.ts';
import { isTag } from './pull-path.ts';

/**
 * Reads a list of tags: distribution-spec, "Listing Tags". What is no tag is left out: Nexus has null among them,
 * Artifactory digests.
 * @returns `undefined` when this is no such list.
 */
export function readTags(bytes: Uint8Array): readonly string[] | undefined {
  const json = readObject(bytes);
  if (json === undefined) return undefined;
  const tags = json['tags'] ?? [];
  return Array.isArray(tags) ? tags.filter(isTag) : undefined;
}

/**
 * Reads what refers to a manifest: distribution-spec, "Listing Referrers". Descriptors are left as they are.
 * @returns `undefined` when this is no index.
 */
export function readReferrers(bytes: Uint8Array): readonly Json[] | undefined {
  const json = readObject(bytes);
  if (json === undefined) return undefined;
  const manifests = json['manifests'] ?? [];
  return Array.isArray(manifests) ? manifests.filter(isObject) : undefined;
}

/** Those descriptors that are of one of these types; all where there are no types. */
export function ofTypes(descriptors: readonly Json[], artifactTypes: readonly string[]): readonly Json[] {
  if (artifactTypes.length === 0) return descriptors;
  return descriptors.filter(({ artifactType }) => artifactTypes.some((type) => type === artifactType));
}

/** The tag under which registries without the referrers API keep that list: distribution-spec, "Referrers Tag Schema". */
export function referrersTag(digest: Digest): string {
  return `${algorithmOf(digest)}-${hexOf(digest).slice(0, 64)}`;
}

function readObject(bytes: Uint8Array): Json | undefined {
  try {
    const json = readJson(bytes);
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}
