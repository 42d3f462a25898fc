import { createHash } from 'node:crypto';

/** The hash functions whose content can be verified here (image-spec descriptor.md, registered algorithms). */
export type Algorithm = 'sha256' | 'sha512';

/** A digest whose content can be verified: lower-case hex of the algorithm's full length. */
export type Digest = `${Algorithm}:${string}`;

const verifiable = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;
const grammar = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/;

/** Whether this is a digest that can be verified. */
export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && verifiable.test(text);
}

/** Whether this follows the digest grammar but uses an algorithm that is not known here: such content is never held. */
export function isForeignDigest(text: string): boolean {
  return grammar.test(text) && !/^sha(?:256|512):/.test(text);
}

/** The algorithm of a digest. */
export function algorithmOf(digest: Digest): Algorithm {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512';
}

/** The hexadecimal part of a digest: safe as a file name. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** The digest of these bytes. */
export function digestOf(bytes: Uint8Array, algorithm: Algorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}
