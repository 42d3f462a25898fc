/**
 * The target of the first `rel="next"` of a `Link` header (RFC 8288 §3), as it is written; `undefined` when there is none.
 */
export function parseNextLink(header: string | undefined): string | undefined {
  for (const [, target, params = ''] of (header ?? '').matchAll(/<([^<>]*)>([^<]*)/g)) {
    const [, quoted, token] = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i.exec(params) ?? [];
    const relations = (quoted ?? token ?? '').toLowerCase().split(/\s+/);
    if (relations.includes('next')) return target;
  }
  return undefined;
}
