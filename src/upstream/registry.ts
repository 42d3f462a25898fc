import type { Clock } from '../async/clock.ts';
import type { UpstreamSettings } from '../config/settings.ts';
import { parseNextLink } from '../http/link.ts';
import { parseContentRange } from '../http/range.ts';
import type { Log } from '../metrics/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { algorithmOf, type Digest, digestOf, isDigest } from '../oci/digest.ts';
import { pageOf } from '../oci/list-query.ts';
import { acceptManifests, essence, isSchema1, ociIndex } from '../oci/media-types.ts';
import type { Reference } from '../oci/pull-path.ts';
import { BlobSource } from './blob-source.ts';
import { UpstreamError } from './errors.ts';
import type { Answer, Exchange } from './exchange.ts';
import type { Health } from './health.ts';
import type { Transport } from './transport.ts';
import { isInForce, type UpstreamView, viewWiring, type Wiring, type WiringParts, wire } from './wiring.ts';

/** A manifest as the upstream sent it. Its bytes hash to its digest. */
export interface UpstreamManifest {
  readonly digest: Digest;
  readonly contentType: string | undefined;
  readonly bytes: Buffer;
}

/** What a HEAD tells: the digest, where the upstream says it. */
export interface ManifestHead {
  readonly digest: Digest | undefined;
}

/** One page of a list that an upstream keeps of a repository. */
export interface UpstreamPage {
  readonly contentType: string | undefined;
  readonly bytes: Buffer;
  /** The query that the next page is asked for with; `undefined` on the last. */
  readonly next: string | undefined;
}

/** What clients refuse to read is not fetched: containers/image takes 4 MiB. */
const maxBody = 8 * 1024 * 1024;
/** How registries say that they do not know a kind of list, or nothing to list. */
const noList = new Set([400, 404, 405, 406, 410, 501]);

/** After so many milliseconds, no request begins on connections that newer settings have replaced. */
const replacedFor = 60_000;

/** One upstream: its endpoints in order, its tokens, its redirects. */
export class Registry {
  /** The name that clients and the catalog know it by. */
  readonly name: string;
  /** Parts of blobs that were asked for again: counted by those who ask. */
  repairs = 0;
  readonly #parts: WiringParts;
  readonly #replaced = new Set<Transport>();
  #wiring: Wiring;

  constructor(settings: UpstreamSettings, clock: Clock, log: Log, metrics: Metrics) {
    this.name = settings.name;
    this.#parts = { clock, log, metrics };
    this.#wiring = wire(settings, this.#parts);
  }

  /** What is in force: to be read at each use. */
  get settings(): UpstreamSettings {
    return this.#wiring.settings;
  }

  /** Of the endpoints in force. */
  get health(): Health {
    return this.#wiring.health;
  }

  /**
   * Whether this repository is read with a login, at any endpoint: one that cannot be read, or was refused just now,
   * counts too. What is public is read without it, and is only asked for again.
   */
  async hasLogin(repository: string): Promise<boolean> {
    for (const endpoint of this.settings.endpoints) {
      const target = { url: new URL(endpoint), endpoint, repository, trusted: true };
      if (await this.#wiring.credentials.maybe(target)) return true;
    }
    return false;
  }

  /**
   * Prepares for new settings of the same upstream; what it returns puts them in force. Requests that have begun go on
   * as they are; whatever is asked from then on, for running flights too, is asked anew.
   * @throws the system's error when a file that they name cannot be read.
   */
  prepare(settings: UpstreamSettings): () => void {
    if (isInForce(settings, this.#wiring)) return () => {};
    const wiring = wire(settings, this.#parts, this.#wiring);
    return () => {
      this.#replace(this.#wiring.transport);
      this.#wiring = wiring;
    };
  }

  #replace(transport: Transport): void {
    this.#replaced.add(transport);
    // A question may take several requests: those of one that has begun are let through.
    this.#parts.clock.after(replacedFor, () => {
      if (!this.#replaced.has(transport)) return;
      const over = () => void this.#replaced.delete(transport);
      void transport.drain().then(over, over);
    });
  }

  /**
   * Fetches a manifest from the first endpoint that has it.
   * @throws UpstreamError of the last endpoint, or of one that gave a definite answer; the signal's reason.
   */
  manifest(repository: string, reference: Reference, signal: AbortSignal): Promise<UpstreamManifest> {
    return this.#anywhere(signal, async (endpoint) => {
      const answer = await this.#askManifest('GET', endpoint, repository, reference, signal);
      return this.#verified(answer, reference, await answer.response.readAll(maxBody));
    });
  }

  /**
   * Asks what a manifest is, without fetching it; where the HEAD is redirected, it comes all the same.
   * @throws UpstreamError as `manifest` does.
   */
  headManifest(
    repository: string,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<ManifestHead | UpstreamManifest> {
    return this.#anywhere(signal, async (endpoint) => {
      const answer = await this.#askManifest('HEAD', endpoint, repository, reference, signal);
      const bytes = await answer.response.readAll(maxBody);
      if (bytes.length > 0) return this.#verified(answer, reference, bytes);
      const digest = answer.response.header('docker-content-digest');
      return { digest: isDigest(digest) ? digest : undefined };
    });
  }

  /**
   * Fetches one page of a list of a repository: `tail` is `tags/list` or `referrers/<digest>`, `page` a query.
   * @throws UpstreamError as `manifest` does: `absent` also where the registry does not know such lists.
   */
  async list(repository: string, tail: string, page: string, signal: AbortSignal): Promise<UpstreamPage> {
    const { answer, bytes } = await this.#anywhere(signal, async (endpoint) => {
      const url = new URL(`/v2/${repository}/${tail}?${page}`, endpoint);
      const headers = { accept: `${ociIndex}, application/json` };
      const patience = this.settings.stallTimeout;
      const answer = await this.#exchange
        .ask({ method: 'GET', kind: 'list', url, endpoint, repository, headers, patience, signal })
        .catch((error: unknown) => Promise.reject(this.#asAbsence(error)));
      return { answer, bytes: await answer.response.readAll(maxBody) };
    });
    // That this cannot be asked for says nothing of the endpoint: the client may have made up the query.
    const next = this.#nextPage(answer);
    return { contentType: answer.response.header('content-type'), bytes, next: next === page ? undefined : next };
  }

  /**
   * Asks whether the repository has this blob, without fetching it.
   * @returns its size, where the registry itself says so.
   * @throws UpstreamError: `absent` or `denied` when it may not be served from this repository.
   */
  async hasBlob(repository: string, digest: Digest, signal: AbortSignal): Promise<{ size: number | undefined }> {
    return this.#anywhere(signal, async (endpoint) => {
      const url = this.blob(repository, digest).urlAt(endpoint);
      const headers = { accept: '*/*', range: 'bytes=0-0' };
      const patience = this.settings.stallTimeout;
      try {
        const { response } = await this.#exchange.ask({
          method: 'GET',
          kind: 'blob',
          endpoint,
          url,
          repository,
          headers,
          patience,
          signal,
        });
        await response.dump();
        return { size: parseContentRange(response.header('content-range'))?.total };
      } catch (error) {
        // There is no first byte: the blob is there, and empty.
        if (error instanceof UpstreamError && error.status === 416) return { size: 0 };
        throw error;
      }
    });
  }

  /** One blob of one repository, to be read. */
  blob(repository: string, digest: Digest): BlobSource {
    return new BlobSource(this.name, repository, digest, () => this.#exchange);
  }

  /** How it does. */
  view(): UpstreamView {
    return { ...viewWiring(this.#wiring), repairs: this.repairs };
  }

  async close(): Promise<void> {
    const transports = [this.#wiring.transport, ...this.#replaced];
    this.#replaced.clear();
    await Promise.all(transports.map((transport) => transport.close()));
  }

  get #exchange(): Exchange {
    return this.#wiring.exchange;
  }

  #askManifest(
    method: 'GET' | 'HEAD',
    endpoint: string,
    repository: string,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<Answer> {
    const last = 'tag' in reference ? reference.tag : reference.digest;
    const url = new URL(`/v2/${repository}/manifests/${last}`, endpoint);
    const patience = this.settings.stallTimeout;
    const headers = { accept: acceptManifests };
    return this.#exchange.ask({ method, kind: 'manifest', url, endpoint, repository, headers, patience, signal });
  }

  /** The digest that was asked for must match; for a tag, the one that the upstream itself announced. */
  #verified({ response, url }: Answer, reference: Reference, bytes: Buffer): UpstreamManifest {
    const contentType = response.header('content-type');
    const announced = response.header('docker-content-digest');
    const expected = 'digest' in reference ? reference.digest : isDigest(announced) ? announced : undefined;
    const digest = digestOf(bytes, expected && algorithmOf(expected));
    if (expected === undefined || digest === expected) return { digest, contentType, bytes };
    // The digest of a signed schema 1 manifest is of less than its bytes, so that nobody could verify it.
    if (isSchema1(essence(contentType))) throw this.#refusal(url, 'absent', 'schema 1 manifests are not served');
    throw this.#refusal(url, 'invalid', `a manifest has the digest ${digest}, not ${expected}`);
  }

  /** Of a link, only the query counts: where the list is, is known. */
  #nextPage({ response, url }: Answer): string | undefined {
    const target = parseNextLink(response.header('link'));
    if (target === undefined) return undefined;
    const page = URL.canParse(target, url.href) ? pageOf(new URL(target, url.href).searchParams) : undefined;
    // Without the rest, the list would look complete.
    if (page === undefined) throw this.#refusal(url, 'invalid', 'the next page of a list cannot be asked for');
    return page || undefined;
  }

  #refusal({ origin }: URL, kind: 'absent' | 'invalid', message: string): UpstreamError {
    return new UpstreamError(this.name, kind, message, { endpoint: origin });
  }

  /** A registry that says in one of these ways that there is no list is well. */
  #asAbsence(error: unknown): unknown {
    if (!(error instanceof UpstreamError) || error.status === undefined || !noList.has(error.status)) return error;
    const { endpoint, status } = error;
    return new UpstreamError(this.name, 'absent', `it has no such list (${status})`, {
      endpoint,
      status,
      cause: error,
    });
  }

  /** Tries the endpoints in order. A definite answer of one counts before the failure of another. */
  async #anywhere<T>(signal: AbortSignal, attempt: (endpoint: string) => Promise<T>): Promise<T> {
    if (this.settings.offline) throw offline(this.name);
    const failures: UpstreamError[] = [];
    for (const endpoint of this.health.order()) {
      try {
        const result = await attempt(endpoint);
        this.health.succeeded(endpoint);
        return result;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof UpstreamError)) throw error;
        this.health.note(endpoint, error);
        failures.push(error);
      }
    }
    const definite = failures.find((failure) => failure.definite);
    throw definite ?? failures.at(-1) ?? new UpstreamError(this.name, 'unreachable', 'it has no endpoint');
  }
}

/** What is not held of an upstream that is never asked. */
export function offline(upstream: string): UpstreamError {
  return new UpstreamError(upstream, 'offline', 'it is never asked, and this is not held');
}
