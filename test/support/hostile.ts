import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createPlainServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { Certificate } from './certificate.ts';
import type { FixtureImage } from './images.ts';

/** How one request is answered; `undefined` where it is as it should be. */
export type Trick = (request: IncomingMessage, response: ServerResponse) => void;

/** A registry that is out to harm, where it has a trick; elsewhere it is a good one. */
export interface Hostile {
  readonly url: string;
  readonly port: number;
  /** Paths that were asked for, in order. */
  readonly seen: string[];
  /** What it does with requests for each kind of thing. */
  readonly tricks: {
    manifests?: Trick | undefined;
    blobs?: Trick | undefined;
    token?: Trick | undefined;
    /** Tags, and referrers. */
    lists?: Trick | undefined;
  };
  /** Bytes that it got rid of, over all of its connections. */
  written(): number;
}

/** Starts one that has the image as `team/app:v1`; it ends with the test. */
export async function startHostile(test: TestContext, image: FixtureImage, tls?: Certificate): Promise<Hostile> {
  const seen: string[] = [];
  const tricks: Hostile['tricks'] = {};
  const sockets = new Set<Socket>();
  const listener: RequestListener = (request, response) => {
    const { url = '' } = request;
    seen.push(url);
    const kind = kindOf(url);
    const trick = kind && tricks[kind];
    response.on('error', () => {});
    if (trick) trick(request, response);
    else behave(request, response, image);
  };
  const server = tls ? createTlsServer({ key: tls.key, cert: tls.certificate }, listener) : createServer(listener);
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {});
    sockets.add(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const written = () => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
  return { url: tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`, port, seen, tricks, written };
}

function kindOf(url: string): keyof Hostile['tricks'] | undefined {
  if (url.startsWith('/token')) return 'token';
  const kind = /^\/v2\/team\/app\/(manifests|blobs|tags|referrers)\//.exec(url)?.[1];
  if (kind === 'manifests' || kind === 'blobs') return kind;
  return kind === undefined ? undefined : 'lists';
}

function behave({ url = '', method, headers }: IncomingMessage, response: ServerResponse, image: FixtureImage): void {
  const reference = url.replace(/^.*\//, '').replace(/\?.*/, '');
  const { manifest } = image;
  if (url.includes('/manifests/') && (reference === 'v1' || reference === manifest.digest)) {
    response.writeHead(200, { 'content-type': manifest.mediaType, 'content-length': manifest.bytes.length });
    response.end(method === 'HEAD' ? undefined : manifest.bytes);
    return;
  }
  const blob = [...image.blobs].find(([digest]) => digest === reference)?.[1];
  if (blob === undefined) {
    response.writeHead(404).end();
    return;
  }
  const [, first = '0', last = ''] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
  const part = blob.subarray(Number(first), last === '' ? undefined : Number(last) + 1);
  const range = { 'content-range': `bytes ${first}-${Number(first) + part.length - 1}/${blob.length}` };
  response
    .writeHead(last === '' ? 200 : 206, { 'content-length': part.length, ...(last === '' ? {} : range) })
    .end(part);
}

/** Sends bytes as they are, in place of an answer; hangs up a second later, deaf to all that comes meanwhile. */
export const raw =
  (...pieces: readonly (string | Buffer)[]): Trick =>
  ({ socket }) => {
    for (const piece of pieces) socket.write(piece);
    setTimeout(() => socket.destroy(), 1000).unref();
  };

/** Sends a beginning, and then the same piece as long as somebody takes it. */
export const endless =
  (beginning: string, piece: string | Buffer): Trick =>
  ({ socket }) => {
    const pour = () => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on('drain', pour);
    socket.write(beginning);
    pour();
  };

/** Redirects there. */
export const leadTo =
  (location: string, status = 307): Trick =>
  (_, response) =>
    void response.writeHead(status, { location }).end();

/** Somebody in the private network, whom nobody should bother. */
export interface Victim {
  readonly port: number;
  /** Connections that were made to it. */
  visits(): number;
}

/** Starts one on both loopback addresses; it ends with the test. */
export async function startVictim(test: TestContext): Promise<Victim> {
  let visits = 0;
  const server = createPlainServer((socket) => {
    visits++;
    socket.on('error', () => {});
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ns3cret'));
  });
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '::', ipv6Only: false }, resolve));
  test.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, visits: () => visits };
}
