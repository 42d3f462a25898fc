import { isDigest } from './digest.ts';
import { isRepositoryName, isTag, type Reference } from './pull-path.ts';

/** An image as people write it. */
export interface ImageName {
  /** The repository, perhaps with an upstream's name in front. */
  readonly name: string;
  readonly reference: Reference;
}

/**
 * Reads `[UPSTREAM/]REPOSITORY[:TAG][@DIGEST]`: the tag is `latest` where neither is said, and where both are the digest
 * counts. @returns `undefined` for anything else.
 */
export function parseImageName(text: string): ImageName | undefined {
  const [, name = '', tag = 'latest', digest] = /^([^@]+?)(?::([^/:@]+))?(?:@(.+))?$/.exec(text) ?? [];
  const [first = '', ...rest] = name.split('/');
  const hasHost = rest.length > 0 && /^(?:\[[0-9a-f:]+\]|[a-z0-9.-]+)(?::\d{1,5})?$/.test(first);
  if (!isRepositoryName(hasHost ? rest.join('/') : name)) return undefined;
  if (digest !== undefined) return isDigest(digest) ? { name, reference: { digest } } : undefined;
  return isTag(tag) ? { name, reference: { tag } } : undefined;
}

/** What follows the repository when a reference is written. */
export function formatReference(reference: Reference): string {
  return 'tag' in reference ? `:${reference.tag}` : `@${reference.digest}`;
}
