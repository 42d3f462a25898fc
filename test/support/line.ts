import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Ends } from './mirror.ts';

/** Milliseconds from one share to the next. */
const tick = 10;
/** No more of a connection is taken in than this, and no more of idle time is made up for than one `slack`. */
const window = 256 * 1024;
const slack = 50;

/** One connection through the line, and what has come for it. */
class Strand {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #waiting: Buffer[] = [];
  #size = 0;
  #ended = false;

  constructor(client: Socket, server: Socket) {
    this.#client = client;
    this.#server = server;
    client.pipe(server);
    server.on('data', (bytes: Buffer) => {
      this.#waiting.push(bytes);
      this.#size += bytes.length;
      if (this.#size >= window) server.pause();
    });
    server.on('end', () => {
      this.#ended = true;
      this.send(0);
    });
  }

  /** Bytes that it could send at once. */
  get ready(): number {
    return this.#client.writableNeedDrain ? 0 : this.#size;
  }

  cut(): void {
    this.#client.destroy();
  }

  /** Sends so many bytes of those that are ready. */
  send(bytes: number): void {
    let left = bytes;
    for (let first = this.#waiting.shift(); first !== undefined; first = this.#waiting.shift()) {
      this.#client.write(first.subarray(0, left));
      if (first.length > left) this.#waiting.unshift(first.subarray(left));
      left -= Math.min(left, first.length);
      if (left === 0) break;
    }
    this.#size -= bytes;
    if (this.#size < window) this.#server.resume();
    if (this.#ended && this.#size === 0) this.#client.end();
  }
}

/**
 * A way to a server that brings so many bytes per second, all connections together: each that has any gets the same
 * part. To whoever pulls through it, it is a fair proxy.
 */
export class Line {
  readonly #server: Server;
  readonly #rate: number;
  readonly #strands = new Set<Strand>();
  readonly #timer: NodeJS.Timeout;
  #since = performance.now();
  /** Bytes that were carried. */
  carried = 0;

  private constructor(target: string, rate: number) {
    this.#rate = rate;
    const { hostname: host, port } = new URL(target);
    this.#server = createServer({ noDelay: true }, (client) => {
      const server = connect({ host, port: Number(port), noDelay: true });
      const strand = new Strand(client, server);
      this.#strands.add(strand);
      client.on('error', () => server.destroy()).on('close', () => server.destroy());
      server.on('error', () => client.destroy());
      client.on('close', () => this.#strands.delete(strand));
    });
    this.#timer = setInterval(() => this.#share(), tick);
  }

  /** Opens a way to this URL. It ends with the test. */
  static async open(test: Ends, target: string, bytesPerSecond: number): Promise<Line> {
    const line = new Line(target, bytesPerSecond);
    line.#server.listen(0, '127.0.0.1');
    await once(line.#server, 'listening');
    test.after(() => line.#close());
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #share(): void {
    const now = performance.now();
    let left = Math.floor((Math.min(now - this.#since, slack) * this.#rate) / 1000);
    this.#since = now;
    // Fewest first: what they leave is for the others.
    const ready = [...this.#strands].filter((strand) => strand.ready > 0).toSorted((a, b) => a.ready - b.ready);
    for (const [index, strand] of ready.entries()) {
      if (left <= 0) break;
      const part = Math.min(strand.ready, Math.ceil(left / (ready.length - index)));
      strand.send(part);
      left -= part;
      this.carried += part;
    }
  }

  #close(): Promise<void> {
    clearInterval(this.#timer);
    for (const strand of this.#strands) strand.cut();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
