/**
 * Whether an `If-None-Match` header names this entity tag (RFC 9110 §13.1.2, weak comparison). Registry clients also
 * send the digest without quotes. `etag` comes without quotes.
 */
export function matchesNone(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((member) => unquote(member.trim().replace(/^W\//, '')) === etag);
}

/**
 * Whether the `Range` of this request counts (RFC 9110 §13.1.5): without `If-Range`, or when that is this strong
 * entity tag. A date or a weak tag never matches. `etag` comes without quotes.
 */
export function rangeApplies(ifRange: string | undefined, etag: string): boolean {
  return ifRange === undefined || ifRange.trim() === `"${etag}"`;
}

function unquote(tag: string): string {
  return tag.length >= 2 && tag.startsWith('"') && tag.endsWith('"') ? tag.slice(1, -1) : tag;
}
