import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Digest } from '../../src/oci/digest.ts';
import { ociIndex } from '../../src/oci/media-types.ts';
import type { FixtureManifest } from './images.ts';

/** The lists of a registry: tags, and referrers where it has that API. Both come in pages where `n` says so. */
export class FakeLists {
  /** Whether there is the referrers API. */
  referrers = false;
  /** Referrers on a page. */
  pageSize = Number.POSITIVE_INFINITY;
  /** Stands before the path of links. */
  linkBase = '';
  /** Answers instead, where it returns something. */
  quirk: (path: string, search: URLSearchParams) => { type: string; body: string; link?: string } | undefined = () =>
    undefined;

  /** Answers a request for a list. @returns whether it was one. `manifests` are those of its repository. */
  answer(
    request: IncomingMessage,
    response: ServerResponse,
    manifests: ReadonlyMap<string, FixtureManifest> | undefined,
  ): boolean {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://fake');
    const list = /^\/v2\/.+\/(tags\/list|referrers\/([^/]+))$/.exec(pathname);
    if (!list) return false;
    const quirk = this.quirk(pathname, searchParams);
    if (quirk) send(response, 200, quirk.type, quirk.body, quirk.link);
    else if (list[2] === undefined) this.#sendTags(response, pathname, searchParams, manifests);
    else if (this.referrers) this.#sendReferrers(response, pathname, searchParams, list[2], manifests);
    else send(response, 404, 'text/plain; charset=utf-8', '404 page not found\n');
    return true;
  }

  #sendTags(
    response: ServerResponse,
    path: string,
    search: URLSearchParams,
    manifests: ReadonlyMap<string, FixtureManifest> | undefined,
  ): void {
    if (!manifests) {
      send(response, 404, 'application/json', '{"errors":[{"code":"NAME_UNKNOWN"}]}');
      return;
    }
    const all = [...manifests.keys()].filter((key) => !key.includes(':')).toSorted();
    const rest = all.filter((tag) => tag > (search.get('last') ?? ''));
    const tags = rest.slice(0, Number(search.get('n') ?? rest.length));
    const more = tags.length < rest.length ? `last=${tags.at(-1)}&n=${search.get('n')}` : undefined;
    const body = JSON.stringify({ name: path.slice(4, -'/tags/list'.length), tags });
    send(response, 200, 'application/json', body, this.#link(path, more));
  }

  #sendReferrers(
    response: ServerResponse,
    path: string,
    search: URLSearchParams,
    subject: string,
    manifests: ReadonlyMap<string, FixtureManifest> | undefined,
  ): void {
    const all = [...new Set(manifests?.values())].filter((each) => subjectOf(each) === subject).map(describe);
    const from = Number(search.get('page') ?? 0) * this.pageSize || 0;
    const page = all.slice(from, from + this.pageSize);
    const more = from + page.length < all.length ? `page=${Number(search.get('page') ?? 0) + 1}` : undefined;
    const body = JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: page });
    send(response, 200, ociIndex, body, this.#link(path, more));
  }

  #link(path: string, query: string | undefined): string | undefined {
    return query && `<${this.linkBase}${path}?${query}>; rel="next"`;
  }
}

function send(response: ServerResponse, status: number, type: string, body: string, link?: string): void {
  response.writeHead(status, { 'content-type': type, ...(link === undefined ? {} : { link }) }).end(body);
}

function subjectOf({ bytes }: FixtureManifest): Digest | undefined {
  return JSON.parse(bytes.toString()).subject?.digest;
}

/** What a registry says of a referrer. */
export function describe({ bytes, digest, mediaType }: FixtureManifest): object {
  const { artifactType, config, annotations } = JSON.parse(bytes.toString());
  return { mediaType, digest, size: bytes.length, artifactType: artifactType ?? config?.mediaType, annotations };
}
