import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { BlobAnswer, Pauses } from './blob-answer.ts';
import type { FixtureImage } from './images.ts';
import type { FakeProxy } from './proxy.ts';

/** Where a registry keeps its content, and how it leads there. */
export interface Elsewhere {
  readonly status: 301 | 302 | 307;
  readonly host: string;
  /** Another host, to which that one leads on. */
  readonly further?: string;
}

/** What tells a registry from the others. */
export interface Traits {
  readonly host: string;
  /** The repository's name at the registry. */
  readonly repository: string;
  /** `WWW-Authenticate` of a request for content; `undefined`: it is refused without a word on how to log in. */
  readonly challenge?: string;
  /** The same of `/v2/`. */
  readonly pingChallenge?: string;
  /** The `Authorization` that requests for content need, where they do not need a token. */
  readonly basic?: string;
  readonly tokens?: {
    readonly url: string;
    /** The scopes that are good for a pull; others get a token that opens nothing. */
    readonly scope: string;
    /** Says whether the asker gets one, and with which status not. */
    readonly admits: (ask: TokenQuestion) => true | number;
    readonly reply: (token: string) => object;
  };
  readonly manifests?: Elsewhere;
  readonly blobs?: Elsewhere;
  /** A registry that is led to wants its own, anonymous token from here. */
  readonly elsewhereRealm?: string;
  /** Whether it says the digest of a manifest. Default: yes. */
  readonly saysDigest?: boolean;
  /** What stands behind the media type of a manifest. */
  readonly mediaTypeSuffix?: string;
  /** Headers that come with everything. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The status and code of a manifest that is not there. */
  readonly absent?: readonly [status: number, code: string];
}

/** How a token was asked for. */
export interface TokenQuestion {
  readonly method: string;
  readonly authorization: string | undefined;
  readonly params: URLSearchParams;
}

/** One request, as it came to one of the hosts. */
export interface HostRequest {
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
}

const signature = 'X-Amz-Signature=s1gned';

/** A registry that behaves like a well-known one, with the hosts that belong to it, behind a proxy that knows them all. */
export class LookAlike {
  readonly seen: HostRequest[] = [];
  readonly questions: TokenQuestion[] = [];
  readonly #traits: Traits;
  readonly #image: FixtureImage;
  readonly #server: Server;
  readonly #pauses = new Pauses();
  #tokens = 0;

  private constructor(traits: Traits, image: FixtureImage) {
    this.#traits = traits;
    this.#image = image;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Starts one that has the image as `v1`; it ends with the test. */
  static async start(test: TestContext, proxy: FakeProxy, traits: Traits, image: FixtureImage): Promise<LookAlike> {
    const registry = new LookAlike(traits, image);
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve));
    const origin = `http://127.0.0.1:${(registry.#server.address() as AddressInfo).port}`;
    const { host, tokens, manifests, blobs, elsewhereRealm } = traits;
    const realms = [tokens?.url, elsewhereRealm].flatMap((url) => (url === undefined ? [] : [new URL(url).host]));
    const elsewhere = [manifests, blobs].flatMap((led) => [led?.host, led?.further]);
    for (const each of [host, ...elsewhere, ...realms]) if (each) proxy.resolve(each, origin);
    test.after(() => {
      registry.#server.closeAllConnections();
      registry.#server.close();
    });
    return registry;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers, url: path = '' } = request;
    const { host = '', authorization, cookie } = headers;
    this.seen.push({ host, method, path, authorization, cookie });
    const url = new URL(path, `http://${host}`);
    for (const [name, value] of Object.entries(this.#traits.headers ?? {})) response.setHeader(name, value);
    const { tokens, elsewhereRealm } = this.#traits;
    if (tokens !== undefined && url.href.split('?')[0] === tokens.url) return this.#giveToken(request, response, url);
    if (elsewhereRealm !== undefined && url.href.split('?')[0] === elsewhereRealm) {
      return sendJson(response, authorization === undefined ? 200 : 400, { token: 'elsewhere' });
    }
    if (host === this.#traits.host) return this.#answerContent(request, response, url);
    return this.#answerElsewhere(request, response, url);
  }

  async #giveToken(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const { method = '' } = request;
    const params = method === 'POST' ? new URLSearchParams(await text(request)) : url.searchParams;
    const question = { method, authorization: request.headers.authorization, params };
    this.questions.push(question);
    const verdict = this.#traits.tokens?.admits(question) ?? 404;
    if (verdict !== true) return sendJson(response, verdict, { errors: [{ code: 'DENIED', message: 'denied' }] });
    const isGood = params.getAll('scope').join(' ') === this.#traits.tokens?.scope;
    sendJson(response, 200, this.#traits.tokens?.reply(isGood ? `good-${++this.#tokens}` : 'useless') ?? {});
  }

  #answerContent(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> | void {
    const { challenge, pingChallenge, manifests, blobs, repository } = this.#traits;
    if (!this.#admits(request)) {
      const line = url.pathname === '/v2/' ? pingChallenge : challenge;
      if (line !== undefined) response.setHeader('www-authenticate', line);
      return sendJson(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] });
    }
    if (url.pathname === '/v2/') return sendJson(response, 200, {});
    const [, name, kind, reference = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url.pathname) ?? [];
    if (name !== repository) return this.#sayAbsent(response);
    const led = kind === 'manifests' ? manifests : blobs;
    if (led === undefined) return this.#sendContent(request, response, kind, reference);
    response.writeHead(led.status, { location: `http://${led.host}/stored${url.pathname}?${signature}` }).end();
  }

  /** Signed URLs are good for one method, and for nobody who says who he is; registries that are led to say so kindly. */
  #answerElsewhere(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> | void {
    const { method, headers } = request;
    const { elsewhereRealm, manifests, blobs } = this.#traits;
    const [, kind, reference = ''] = /\/(manifests|blobs)\/([^/]+)$/.exec(url.pathname) ?? [];
    const led = kind === 'manifests' ? manifests : blobs;
    const further = led?.host === url.host ? led.further : undefined;
    const send = () => {
      if (further === undefined) return this.#sendContent(request, response, kind, reference);
      response.writeHead(307, { location: `http://${further}${url.pathname}?${signature}` }).end();
    };
    if (elsewhereRealm !== undefined && url.host === new URL(elsewhereRealm).host) {
      if (headers.authorization === 'Bearer elsewhere') return send();
      response.setHeader('www-authenticate', `Bearer realm="${elsewhereRealm}",service="elsewhere"`);
      return sendJson(response, 401, { errors: [{ code: 'UNAUTHORIZED' }] });
    }
    if (headers.authorization !== undefined) {
      response.writeHead(400).end('<Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message>');
    } else if (method !== 'GET' || url.search !== `?${signature}`) {
      response.writeHead(403).end('<Code>SignatureDoesNotMatch</Code>');
    } else return send();
  }

  #admits({ headers: { authorization } }: IncomingMessage): boolean {
    const { basic, tokens } = this.#traits;
    if (basic !== undefined) return authorization === basic;
    return tokens === undefined || authorization?.startsWith('Bearer good-') === true;
  }

  #sendContent(
    request: IncomingMessage,
    response: ServerResponse,
    kind: string | undefined,
    reference: string,
  ): Promise<void> | void {
    const { manifest, blobs } = this.#image;
    const blob = [...blobs].find(([digest]) => digest === reference)?.[1];
    if (kind === 'blobs' && blob) return new BlobAnswer(request, response, blob, [], this.#pauses).send(() => {});
    if (kind !== 'manifests' || (reference !== 'v1' && reference !== manifest.digest)) return this.#sayAbsent(response);
    const { saysDigest = true, mediaTypeSuffix = '' } = this.#traits;
    // Whoever does not accept a type by its name is told that there is none.
    if (!request.headers.accept?.includes(manifest.mediaType)) return this.#sayAbsent(response);
    response.writeHead(200, {
      'content-type': `${manifest.mediaType}${mediaTypeSuffix}`,
      'content-length': manifest.bytes.length,
      ...(saysDigest && { 'docker-content-digest': manifest.digest }),
    });
    response.end(request.method === 'HEAD' ? undefined : manifest.bytes);
  }

  #sayAbsent(response: ServerResponse): void {
    const [status, code] = this.#traits.absent ?? [404, 'MANIFEST_UNKNOWN'];
    sendJson(response, status, { errors: [{ code, message: 'not found' }] });
  }
}

function sendJson(response: ServerResponse, status: number, json: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
}
