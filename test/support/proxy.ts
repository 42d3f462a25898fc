import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** A proxy for a made-up Internet: it knows where each host is, and remembers what it was asked for. */
export class FakeProxy {
  /** `GET http://host/path`, or `CONNECT host:port`. */
  readonly seen: string[] = [];
  /** The value that `Proxy-Authorization` must have. */
  authorization: string | undefined;
  readonly #hosts = new Map<string, string>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((incoming, response) => this.#forward(incoming, response));
    this.#server.on('connect', (incoming: IncomingMessage, socket: Socket) => this.#tunnel(incoming, socket));
    this.#server.on('connection', (socket: Socket) => this.#sockets.add(socket));
  }

  /** Starts one; it ends with the test. */
  static async start(test: TestContext): Promise<FakeProxy> {
    const proxy = new FakeProxy();
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    test.after(() => {
      for (const socket of proxy.#sockets) socket.destroy();
      proxy.#server.close();
    });
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Says where a host (with its port, where that is not the scheme's) really is: the origin of a server. */
  resolve(host: string, origin: string): void {
    this.#hosts.set(host, origin);
  }

  /** What hosts were asked, each once, in order. */
  get hosts(): readonly string[] {
    return [...new Set(this.seen.map((line) => line.replace(/^\w+ (?:http:\/\/)?([^/]*).*/, '$1')))];
  }

  #forward(incoming: IncomingMessage, response: ServerResponse): void {
    this.seen.push(`${incoming.method} ${incoming.url}`);
    const url = new URL(incoming.url ?? '');
    const origin = this.#hosts.get(url.host);
    if (!this.#admits(incoming)) response.writeHead(407, { 'proxy-authenticate': 'Basic realm="proxy"' }).end();
    else if (origin === undefined) response.writeHead(502).end();
    else {
      const { 'proxy-authorization': _, ...headers } = incoming.headers;
      const target = new URL(url.pathname + url.search, origin);
      const outgoing = request(target, { method: incoming.method, headers, agent: false }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.rawHeaders);
        answer.pipe(response);
        answer.on('error', () => response.destroy());
      });
      outgoing.on('error', () => response.destroy());
      response.on('close', () => outgoing.destroy());
      incoming.pipe(outgoing);
    }
  }

  #tunnel(incoming: IncomingMessage, socket: Socket): void {
    this.seen.push(`CONNECT ${incoming.url}`);
    const origin = this.#hosts.get(incoming.url ?? '');
    if (!this.#admits(incoming) || origin === undefined) {
      socket.end(`HTTP/1.1 ${origin === undefined ? '502 Bad Gateway' : '407 Login'}\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const target = connect(Number(new URL(origin).port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connected\r\n\r\n');
      target.pipe(socket).pipe(target);
    });
    this.#sockets.add(target);
    target.on('error', () => socket.destroy());
    socket.on('error', () => target.destroy());
  }

  #admits({ headers }: IncomingMessage): boolean {
    return this.authorization === undefined || headers['proxy-authorization'] === this.authorization;
  }
}
