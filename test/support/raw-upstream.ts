import { createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { until } from './until.ts';

/** What is sent on a connection once a request has come: `head`, then `again` until the other side closes. */
export interface RawAnswer {
  readonly head: string;
  readonly again?: string;
  /** Milliseconds from one `again` to the next; default: as fast as it is taken. */
  readonly every?: number;
}

/** An upstream that is no registry. It never closes a connection. */
export interface RawUpstream {
  readonly url: string;
  /** The first lines of the requests. */
  readonly seen: readonly string[];
  /** Bytes that were handed to connections. */
  readonly sent: number;
  /** Resolves when the other side has closed all of them. */
  forsaken(): Promise<void>;
}

/** Starts one; `answer` decides by the first line of a request. It ends with the test. */
export async function startRawUpstream(t: TestContext, answer: (line: string) => RawAnswer): Promise<RawUpstream> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  let closed = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => closed++);
    socket.on('data', (bytes) => {
      const [line = ''] = bytes.toString('latin1').split('\r\n', 1);
      seen.push(line);
      feed(socket, answer(line));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    get sent() {
      return [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
    },
    forsaken: () => until(() => closed === sockets.size),
  };
}

function feed(socket: Socket, { head, again, every }: RawAnswer): void {
  socket.write(head);
  if (again === undefined) return;
  if (every !== undefined) {
    const timer = setInterval(() => socket.write(again), every);
    socket.once('close', () => clearInterval(timer));
    return;
  }
  const pump = () => {
    while (!socket.destroyed && socket.write(again));
  };
  socket.on('drain', pump);
  pump();
}
