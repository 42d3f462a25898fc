import { type Digest, isDigest, isForeignDigest } from './digest.ts';
import { RegistryError } from './errors.ts';

/** How a manifest is asked for: distribution-spec, "Pulling manifests". */
export type Reference = { readonly tag: string } | { readonly digest: Digest };

/** What is asked for within a repository. */
export type Resource =
  | { readonly kind: 'manifest'; readonly reference: Reference }
  | { readonly kind: 'blob'; readonly digest: Digest }
  | { readonly kind: 'tags' }
  | { readonly kind: 'referrers'; readonly digest: Digest };

/** A request path, read once: nothing re-parses it. */
export interface PullPath {
  /** The segment before `/v2/`, where there is one. */
  readonly prefix: string | undefined;
  /** The `ns` query parameter of containerd and Docker: client-controlled, to be matched against an allow-list. */
  readonly ns: string | undefined;
  /** The repository as the client wrote it, with an upstream's name in front where the client put it there. */
  readonly name: string;
  readonly resource: Resource;
}

const nameGrammar = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagGrammar = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
// Without an upstream in front where that is possible: a repository may be called `v2`.
const layout = /^(?:\/([a-zA-Z0-9._-]+))??\/v2(?:\/(.*))?$/;
const maxName = 255;

/** Whether this can be a tag. */
export function isTag(text: unknown): text is string {
  return typeof text === 'string' && tagGrammar.test(text);
}

/** Whether this can be the name of a repository. */
export function isRepositoryName(text: string): boolean {
  return text.length <= maxName && nameGrammar.test(text);
}

/**
 * Reads the raw request target of a pull: distribution-spec, "Endpoints". The end of the path decides, since names may
 * contain `manifests` and `blobs`. Nothing is normalised, and of percent escapes only `%3A` is undone.
 * @returns `'ping'` for `/v2/`; `undefined` for a path outside the registry API.
 * @throws RegistryError for a path inside the API that names nothing this could be.
 */
export function parsePullPath(target: string): PullPath | 'ping' | undefined {
  const [path = '', query = ''] = splitOnce(target, '?');
  const match = layout.exec(path.replaceAll(/%3a/gi, ':'));
  if (!match) return undefined;
  const [, prefix, rest] = match;
  // The signature extension of old registries has the same shape as an upstream before `/v2/`.
  if (prefix === 'extensions') return undefined;
  if (rest === undefined || rest === '') return 'ping';
  if (rest === '_catalog') throw new RegistryError('UNSUPPORTED', { status: 404, detail: 'the catalog is not listed' });
  const { name, resource } = readResource(rest);
  return { prefix, ns: new URLSearchParams(query).get('ns') ?? undefined, name, resource };
}

function readResource(rest: string): { name: string; resource: Resource } {
  const segments = rest.split('/');
  const last = segments.pop() ?? '';
  const kind = segments.pop();
  const name = segments.join('/');
  if (kind === 'manifests')
    return { name: checkName(name), resource: { kind: 'manifest', reference: readReference(last) } };
  if (kind === 'blobs' && last !== 'uploads')
    return { name: checkName(name), resource: { kind: 'blob', digest: readDigest(last, 'BLOB_UNKNOWN') } };
  if (kind === 'tags' && last === 'list') return { name: checkName(name), resource: { kind: 'tags' } };
  if (kind === 'referrers')
    return { name: checkName(name), resource: { kind: 'referrers', digest: readDigest(last, 'MANIFEST_UNKNOWN') } };
  if (/\/blobs\/uploads(?:\/|$)/.test(`/${rest}`)) throw new RegistryError('BLOB_UPLOAD_UNKNOWN');
  throw new RegistryError('NAME_INVALID', { detail: 'the path names no manifest, blob, tag list or referrers' });
}

function checkName(name: string): string {
  if (!isRepositoryName(name)) throw new RegistryError('NAME_INVALID');
  return name;
}

function readReference(text: string): Reference {
  if (text.includes(':')) return { digest: readDigest(text, 'MANIFEST_UNKNOWN') };
  if (!isTag(text)) throw new RegistryError('TAG_INVALID');
  return { tag: text };
}

function readDigest(text: string, unknown: 'BLOB_UNKNOWN' | 'MANIFEST_UNKNOWN'): Digest {
  if (isDigest(text)) return text;
  if (isForeignDigest(text))
    throw new RegistryError(unknown, { detail: 'content of this algorithm cannot be verified here' });
  throw new RegistryError('DIGEST_INVALID');
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
