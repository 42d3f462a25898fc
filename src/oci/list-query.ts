import { RegistryError } from './errors.ts';

/** The query of a request for a list: distribution-spec, "Listing Tags" and "Listing Referrers". */
export interface ListQuery {
  /** How many the client wants at most. */
  readonly n: number | undefined;
  /** Which referrers it wants; empty for all. */
  readonly artifactTypes: readonly string[];
  /** What the upstream is asked with: which page, in the upstream's own words, as a query string. */
  readonly page: string;
}

const maxPage = 2048;

/**
 * Reads the query of a raw request target.
 * @throws RegistryError `PAGINATION_NUMBER_INVALID` when `n` is no number, or a page's name longer than any that was given out.
 */
export function parseListQuery(target: string): ListQuery {
  const at = target.indexOf('?');
  const params = new URLSearchParams(at < 0 ? '' : target.slice(at + 1));
  const n = params.getAll('n');
  const page = pageOf(params);
  if (page === undefined || n.some((each) => !/^\d{1,9}$/.test(each))) {
    throw new RegistryError('PAGINATION_NUMBER_INVALID');
  }
  return { n: n[0] === undefined ? undefined : Number(n[0]), artifactTypes: params.getAll('artifactType'), page };
}

/** What of a query says which page is meant; `undefined` when that is absurdly long. */
export function pageOf(params: URLSearchParams): string | undefined {
  const page = new URLSearchParams(params);
  // Both are ours: which upstream it is, and the filter, which is applied here.
  page.delete('ns');
  page.delete('artifactType');
  const text = page.toString();
  return text.length > maxPage ? undefined : text;
}
