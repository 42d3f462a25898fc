import { type Digest, isDigest } from './digest.ts';
import { isObject, readJson } from './json.ts';

/**
 * The manifests of an index that are for one of these platforms, written `os/architecture[/variant]`: image-spec
 * image-index.md. One without a variant fits every variant.
 */
export function platformsOf(index: Uint8Array, platforms: readonly string[]): { readonly digest: Digest }[] {
  const json = readJson(index);
  const manifests = isObject(json) && Array.isArray(json['manifests']) ? json['manifests'] : [];
  return manifests.flatMap((each: unknown) => {
    if (!isObject(each) || !isDigest(each['digest']) || !isObject(each['platform'])) return [];
    const { os, architecture, variant } = each['platform'];
    const names = [`${os}/${architecture}`, `${os}/${architecture}/${variant}`];
    return platforms.some((platform) => names.includes(platform)) ? [{ digest: each['digest'] }] : [];
  });
}
