import { type Digest, digestOf } from '../../oci/digest.ts';
import { isObject, type Json } from '../../oci/json.ts';
import { type Descriptor, parseManifest } from '../../oci/manifest.ts';
import { acceptManifests } from '../../oci/media-types.ts';
import { ask } from '../ask.ts';
import { reasonOf } from './finding.ts';

/** An image as a mirror serves it. */
export interface ServedImage {
  readonly digest: Digest;
  /** `linux/amd64`; `undefined` where there is only one. */
  readonly platform: string | undefined;
  readonly layers: readonly Descriptor[];
}

/** The mirror that is asked. */
export interface AskedMirror {
  /** A user and a password may stand in it. */
  readonly url: URL;
  /** Whether its certificate has to be right. */
  readonly verified: boolean;
}

/** A manifest as it came. */
interface Served {
  readonly bytes: Buffer;
  readonly contentType: string | undefined;
}

/**
 * Reads an image through a mirror. `name` is what the mirror would be asked for: with an upstream in front, or without.
 * @param platform of an index; default: `linux/amd64`, or the first that is named.
 * @throws Error when the mirror does not serve it, or has no such platform
 */
export async function readImage(mirror: AskedMirror, name: string, platform: string | undefined): Promise<ServedImage> {
  const { repository, reference } = splitName(name);
  const top = await fetchManifest(mirror, repository, reference);
  const { manifests, layers } = parseManifest(top.bytes, top.contentType);
  if (manifests.length === 0) return { digest: digestOf(top.bytes), platform: undefined, layers };
  const platforms = platformsOf(top.bytes);
  const wanted = platform ?? (platforms.has('linux/amd64') ? 'linux/amd64' : [...platforms.keys()][0]);
  const digest = platforms.get(wanted ?? '');
  if (digest === undefined || wanted === undefined) {
    throw new Error(`${name} has no platform ${wanted ?? ''}: it has ${[...platforms.keys()].join(', ')}`);
  }
  const image = await fetchManifest(mirror, repository, digest);
  const own = parseManifest(image.bytes, image.contentType);
  return { digest: digestOf(image.bytes), platform: wanted, layers: own.layers };
}

function splitName(name: string): { repository: string; reference: string } {
  const [, repository = '', tag, digest] = /^([^@]+?)(?::([\w][\w.-]*))?(?:@(\S+))?$/.exec(name) ?? [];
  return { repository, reference: digest ?? tag ?? 'latest' };
}

async function fetchManifest(
  { url: mirror, verified }: AskedMirror,
  repository: string,
  reference: string,
): Promise<Served> {
  const url = new URL(`/v2/${repository}/manifests/${reference}`, mirror);
  url.username = mirror.username;
  url.password = mirror.password;
  const headers = { accept: acceptManifests, 'user-agent': 'weir-doctor' };
  const { status, contentType, body } = await ask(url, { headers, verified }).catch((cause: unknown) => {
    const message = `the mirror at ${mirror.host} cannot be asked (${reasonOf(cause)}): start it, or say by --mirror where it is`;
    throw new Error(message, { cause });
  });
  if (status === 200) return { bytes: body, contentType };
  throw new Error(`the mirror answers ${status} for ${repository}:${reference}${detailOf(body)}`);
}

/** What the body of a registry's error says: distribution-spec, "Error Codes". */
function detailOf(body: Buffer): string {
  const [, message = ''] = /"message"\s*:\s*"([^"\\]{1,200})"/.exec(body.toString('utf8', 0, 2000)) ?? [];
  return message === '' ? '' : `: ${message}`;
}

/** The manifests of an index by platform: image-spec image-index.md. Attestations have none. */
function platformsOf(bytes: Buffer): Map<string, string> {
  const index: unknown = JSON.parse(bytes.toString());
  const manifests = isObject(index) && Array.isArray(index['manifests']) ? index['manifests'] : [];
  const platforms = new Map<string, string>();
  for (const manifest of manifests.filter(isObject)) {
    const platform = platformOf(manifest);
    const { digest } = manifest;
    if (platform !== undefined && typeof digest === 'string' && !platforms.has(platform))
      platforms.set(platform, digest);
  }
  return platforms;
}

function platformOf({ platform }: Json): string | undefined {
  if (!isObject(platform)) return undefined;
  const { os, architecture, variant } = platform;
  if (typeof os !== 'string' || typeof architecture !== 'string' || os === 'unknown') return undefined;
  return typeof variant === 'string' && architecture === 'arm' ? `${os}/arm/${variant}` : `${os}/${architecture}`;
}
