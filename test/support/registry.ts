import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { BlobAnswer, Pauses } from './blob-answer.ts';
import type { Fault } from './faults.ts';
import type { FixtureImage, FixtureManifest } from './images.ts';
import { FakeLists } from './listings.ts';

/** One request that the registry saw. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly headers: IncomingMessage['headers'];
  /** Bytes of content that were handed to the connection. */
  sent: number;
  /** Whether the connection was closed before the answer had come to its end. */
  aborted: boolean;
}

/** What a token is asked for with. */
export interface TokenAsk {
  readonly method: string;
  readonly authorization: string | undefined;
  /** Of the query, or of the form that was posted. */
  readonly params: URLSearchParams;
}

/** Wants a token from `/token` of the same registry, for the repository that is asked for. */
export interface TokenRules {
  /** Whether this is good enough; a status refuses with that one, `false` with 401. Default: all is. */
  readonly admits?: (authorization: string | undefined, ask: TokenAsk) => boolean | number;
  readonly expiresIn?: number;
  /** Replaces the reply. */
  readonly reply?: (token: string) => unknown;
  /** Replaces the challenge. */
  readonly challenge?: (realm: string, repository: string) => readonly string[];
}

interface Repository {
  readonly manifests: Map<string, FixtureManifest>;
  readonly blobs: Map<Digest, Buffer>;
}

/** A registry in memory, which does wrong what it is told to. Every request is remembered. */
export class FakeRegistry {
  readonly seen: SeenRequest[] = [];
  readonly faults: Fault[] = [];
  /** Tags and referrers. */
  readonly lists = new FakeLists();
  /** Whether manifests come with their digest. */
  announcesDigests = true;
  /** The value of `RateLimit-Remaining` on manifests. */
  remaining: string | undefined;
  readonly #repositories = new Map<string, Repository>();
  readonly #server: Server;
  /** Tokens, and the scopes that they are good for. */
  readonly #tokens = new Map<string, string>();
  readonly tokenAsks: TokenAsk[] = [];
  readonly #pauses = new Pauses();
  #tokenRules: TokenRules | undefined;
  #basic: string | undefined;
  #port = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    this.#server.keepAliveTimeout = 60_000;
  }

  /** Starts one on a port that the system chooses. */
  static async start(host = '127.0.0.1'): Promise<FakeRegistry> {
    const registry = new FakeRegistry();
    await registry.listen(host);
    return registry;
  }

  /** Listens again, on the same port as before. */
  async listen(host = '127.0.0.1'): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, host, resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    const { address } = (this.#server.address() ?? { address: '127.0.0.1' }) as AddressInfo;
    return `http://${address.includes(':') ? `[${address}]` : address}:${this.#port}`;
  }

  /** Puts an image in, under a tag. */
  push(repository: string, tag: string, image: FixtureImage): void {
    this.putManifest(repository, image.manifest, tag);
    for (const bytes of image.blobs.values()) this.putBlob(repository, bytes);
  }

  putManifest(repository: string, manifest: FixtureManifest, ...tags: readonly string[]): void {
    for (const reference of [manifest.digest, ...tags]) this.#repository(repository).manifests.set(reference, manifest);
  }

  putBlob(repository: string, bytes: Buffer, digest = digestOf(bytes)): Digest {
    this.#repository(repository).blobs.set(digest, bytes);
    return digest;
  }

  removeTag(repository: string, tag: string): void {
    this.#repository(repository).manifests.delete(tag);
  }

  /** From now on, requests need a token. */
  requireTokens(rules: TokenRules = {}): void {
    this.#tokenRules = rules;
  }

  /** From now on, requests need this login. */
  requireBasic(username: string, password: string): void {
    this.#basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }

  /** From now on, this token is good for every repository. */
  acceptToken(token: string): void {
    this.#tokens.set(token, '');
  }

  /** Tokens that were given out (for this repository) are worth nothing any more. */
  revokeTokens(repository = ''): void {
    for (const [token, scopes] of this.#tokens) if (scopes.includes(repository)) this.#tokens.delete(token);
  }

  /** The requests for blobs. */
  get blobRequests(): readonly SeenRequest[] {
    return this.seen.filter(({ path }) => path.includes('/blobs/'));
  }

  /** Bytes of blobs that were sent. */
  get blobBytes(): number {
    return this.blobRequests.reduce((sum, { sent }) => sum + sent, 0);
  }

  /** Stops listening, and cuts every connection. */
  async close(): Promise<void> {
    this.#pauses.cancel();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #repository(name: string): Repository {
    const known = this.#repositories.get(name);
    if (known) return known;
    const repository = { manifests: new Map(), blobs: new Map() };
    this.#repositories.set(name, repository);
    return repository;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const { range, authorization } = headers;
    const seen = { method, path: url, range, authorization, headers, sent: 0, aborted: false };
    this.seen.push(seen);
    response.once('close', () => {
      seen.aborted = !response.writableFinished;
    });
    if (url.startsWith('/token')) return this.#giveToken(request, response);
    const [, name = '', kind, reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/?]+)/.exec(url) ?? [];
    const faults = this.#strike(url);
    if (this.#refuseByFault(faults, url, response)) return;
    if (!this.#admitted(authorization, name)) return this.#challenge(response, name);
    if (this.lists.answer(request, response, this.#repositories.get(name)?.manifests)) return;
    if (kind === 'manifests')
      return this.#sendManifest(
        request,
        response,
        this.#repositories.get(name)?.manifests.get(decodeURIComponent(reference)),
        faults,
      );
    const blob = [...(this.#repositories.get(name)?.blobs ?? [])].find(([digest]) => digest === reference)?.[1];
    if (kind === 'blobs' && blob)
      return new BlobAnswer(request, response, blob, faults, this.#pauses).send((bytes) => (seen.sent += bytes));
    this.#sendJson(response, url === '/v2/' ? 200 : 404, url === '/v2/' ? {} : { errors: [{ code: 'NAME_UNKNOWN' }] });
  }

  /** The faults that strike this request; they have one strike less from now on. */
  #strike(path: string): Fault[] {
    const striking = this.faults.filter((fault) => fault.times > 0 && fault.only(path));
    for (const fault of striking) Object.assign(fault, { times: fault.times - 1 });
    return striking;
  }

  #refuseByFault(faults: readonly Fault[], url: string, response: ServerResponse): boolean {
    for (const fault of faults) {
      if (fault.kind === 'refuse') response.destroy();
      else if (fault.kind === 'status') {
        const headers = fault.retryAfter === undefined ? {} : { 'retry-after': fault.retryAfter };
        response.writeHead(fault.status, headers).end(fault.body);
      } else if (fault.kind === 'redirectTo') {
        response.writeHead(fault.status, { location: `${fault.base}${url}?signature=s3cret` }).end();
      } else continue;
      return true;
    }
    return false;
  }

  #admitted(authorization: string | undefined, repository: string): boolean {
    if (this.#basic !== undefined) return authorization === this.#basic;
    if (this.#tokenRules === undefined) return true;
    const scopes = this.#tokens.get(authorization?.replace(/^Bearer /, '') ?? '');
    return (
      scopes !== undefined && (!scopes.includes('repository:') || scopes.includes(`repository:${repository}:pull`))
    );
  }

  #challenge(response: ServerResponse, repository: string): void {
    const realm = `${this.url}/token`;
    const bearer = `Bearer realm="${realm}",service="fake",scope="repository:${repository}:pull"`;
    const lines =
      this.#basic !== undefined
        ? ['Basic realm="fake"']
        : (this.#tokenRules?.challenge?.(realm, repository) ?? [bearer]);
    response.setHeader('www-authenticate', [...lines]);
    this.#sendJson(response, 401, { errors: [{ code: 'UNAUTHORIZED' }] });
  }

  async #giveToken(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { admits = () => true, expiresIn = 300, reply } = this.#tokenRules ?? {};
    const { method = '', url, headers } = request;
    const params =
      method === 'POST' ? new URLSearchParams(await text(request)) : new URL(url ?? '', this.url).searchParams;
    const ask = { method, authorization: headers.authorization, params };
    this.tokenAsks.push(ask);
    const verdict = admits(headers.authorization, ask);
    if (verdict !== true) {
      this.#sendJson(response, verdict || 401, { details: 'no' });
      return;
    }
    const token = createHash('sha256').update(`${this.url} ${this.seen.length}`).digest('hex');
    this.#tokens.set(token, params.getAll('scope').join(' '));
    this.#sendJson(response, 200, reply?.(token) ?? { access_token: token, expires_in: expiresIn });
  }

  #sendJson(response: ServerResponse, code: number, json: unknown): void {
    response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(json));
  }

  async #sendManifest(
    request: IncomingMessage,
    response: ServerResponse,
    manifest: FixtureManifest | undefined,
    faults: readonly Fault[],
  ): Promise<void> {
    if (!manifest) return this.#sendJson(response, 404, { errors: [{ code: 'MANIFEST_UNKNOWN' }] });
    const { bytes, digest, mediaType } = manifest;
    for (const fault of faults) if (fault.kind === 'stallAfter') await this.#pauses.wait(fault.ms);
    response.writeHead(200, {
      'content-type': mediaType,
      'content-length': bytes.length,
      ...(this.announcesDigests ? { 'docker-content-digest': digest } : {}),
      ...(this.remaining === undefined ? {} : { 'ratelimit-remaining': this.remaining }),
    });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  }
}
