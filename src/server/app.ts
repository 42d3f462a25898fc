import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import Fastify, { type FastifyInstance } from 'fastify';
import type { ListenAddress } from '../config/schema.ts';
import type { Certificate } from './certificate.ts';

/** What is answered at a path; the rest is answered by `otherwise`. */
export interface AppRoutes {
  /** Paths without parameters, GET and HEAD. */
  readonly fixed: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => Promise<void>>>;
  readonly otherwise: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** Whether a request may go on, asked before any is answered; where not, it has answered. Default: all may. */
  readonly admits?: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;
}

const options = {
  // 1,024 ranges are 21 kB; a request with more than this is closed.
  maxHeaderSize: 64 * 1024,
  // Longer than any client keeps a connection: closing first would meet a request on its way.
  keepAliveTimeout: 100_000,
  headersTimeout: 60_000,
  // How often it is looked for connections whose headers do not come.
  connectionsCheckingInterval: 5000,
  // Downloads may take hours.
  requestTimeout: 0,
  keepAlive: true,
  keepAliveInitialDelay: 60_000,
} satisfies ServerOptions;

const tlsOptions = {
  ...options,
  // One stalled connection must not stall the other layers of a pull, as it would with HTTP/2.
  ALPNProtocols: ['http/1.1'],
  handshakeTimeout: 10_000,
};

/** A client that takes no byte of what it asked for is let go after so many milliseconds. */
const patience = 5 * 60_000;

/** A listening address, as it turned out. */
export interface Bound {
  readonly host: string;
  readonly port: number;
}

/** An HTTP server on any number of addresses: Fastify's routing, but raw requests and answers, byte for byte. */
export class App {
  readonly #fastify: FastifyInstance;
  readonly #certificate: Certificate | undefined;
  readonly #patience: number;
  readonly #servers: Server[] = [];
  /** Those under way; a client that is gone ends its own, but not at once. */
  readonly #answers: ReadonlySet<Promise<void>>;

  private constructor(
    fastify: FastifyInstance,
    answers: ReadonlySet<Promise<void>>,
    certificate: Certificate | undefined,
    within: number,
  ) {
    this.#fastify = fastify;
    this.#answers = answers;
    this.#certificate = certificate;
    this.#patience = within;
  }

  /**
   * Builds the routes; with a certificate, for HTTPS. Nothing listens yet. `within`: milliseconds in which a client takes
   * some of what it is sent.
   */
  static async create(routes: AppRoutes, certificate?: Certificate, within = patience): Promise<App> {
    const { admits = () => Promise.resolve(true) } = routes;
    const answers = new Set<Promise<void>>();
    const gated = (answer: Answer): Answer => {
      const admitted: Answer = async (request, response) => {
        if (await admits(request, response)) await answer(request, response);
      };
      return (request, response) => {
        const answered = admitted(request, response).finally(() => answers.delete(answered));
        answers.add(answered);
        return answered;
      };
    };
    const otherwise = gated(routes.otherwise);
    const fastify = Fastify({
      logger: false,
      exposeHeadRoutes: false,
      return503OnClosing: false,
      http: options,
      frameworkErrors: (_error, request, reply) => {
        // A path that cannot be decoded is still a path: the registry API says what is wrong with it.
        reply.hijack();
        void otherwise(request.raw, reply.raw);
      },
    });
    // Whatever Fastify finds wrong with a request is answered like any other.
    fastify.setErrorHandler((_error, request, reply) => raw(otherwise)(request, reply));
    // Bodies are never read: what comes with one is answered, and its connection closed.
    fastify.removeAllContentTypeParsers();
    fastify.addContentTypeParser('*', (_request, _payload, done) => done(null));
    for (const [url, answer] of Object.entries(routes.fixed)) {
      fastify.route({ method: ['GET', 'HEAD'], url, handler: raw(gated(answer)) });
    }
    fastify.setNotFoundHandler(raw(otherwise));
    await fastify.ready();
    return new App(fastify, answers, certificate, within);
  }

  /** Listens on one more address. @throws the system's error when that cannot be done. */
  async listen({ host, port }: ListenAddress): Promise<Bound> {
    const answering = new WeakSet<Duplex>();
    const server = this.#createServer((request, response) => {
      answering.add(request.socket);
      response.once('close', () => answering.delete(request.socket));
      // While there is nothing to send, it is not the client that is silent.
      response.on('timeout', () => response.writableLength > 0 && response.destroy());
      this.#fastify.routing(request, response);
    });
    server.timeout = this.#patience;
    // What is written into an answer would be taken for a part of it.
    server.on('clientError', (error, socket) => refuseGarbage(error, socket, answering.has(socket)));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, resolve);
    });
    this.#servers.push(server);
    const address = server.address();
    return { host, port: isAddress(address) ? address.port : port };
  }

  #createServer(answer: (request: IncomingMessage, response: ServerResponse) => void): Server {
    if (this.#certificate === undefined) return createServer(options, answer);
    const server = createTlsServer(tlsOptions, answer);
    this.#certificate.serve(server);
    return server;
  }

  /** Takes no more connections, and closes the certificate; resolves when the last one is closed, and no answer goes on. */
  async close(): Promise<void> {
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const server of this.#servers) server.closeIdleConnections();
    this.#certificate?.close();
    await Promise.all(closed);
    await Promise.allSettled(this.#answers);
    await this.#fastify.close();
  }

  /** Cuts all connections. */
  closeAllConnections(): void {
    for (const server of this.#servers) server.closeAllConnections();
  }
}

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

function raw(
  answer: Answer,
): (request: { raw: IncomingMessage }, reply: { raw: ServerResponse; hijack(): unknown }) => Promise<void> {
  return async (request, reply) => {
    reply.hijack();
    await answer(request.raw, reply.raw);
  };
}

/** What is no HTTP (a TLS handshake, as clients of `insecure` mirrors send first) gets a short answer, and an end. */
function refuseGarbage(error: Error & { code?: string }, socket: Duplex, isAnswering: boolean): void {
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering) return void socket.destroy();
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}
