import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

/** What the relay is to do. */
export interface RelayOrder {
  readonly targetPort: number;
  readonly bytesPerSecond: number | undefined;
  /** Holds the bytes that came from the target. */
  readonly counter: BigUint64Array;
}

const order: RelayOrder = workerData;
const pieceSize = 64 * 1024;

/** A line that all connections share. Timers are coarse: so many milliseconds that it lay idle are made up for. */
const slackMs = 10;
const bytesPerMs = (order.bytesPerSecond ?? Number.POSITIVE_INFINITY) / 1000;
let busyUntil = 0;

/** Milliseconds until the line has carried these bytes, and may be given more. */
function carry(bytes: number): number {
  const now = performance.now();
  busyUntil = Math.max(busyUntil, now - slackMs) + bytes / bytesPerMs;
  return Math.max(0, busyUntil - now);
}

function relay(client: Socket): void {
  const buffer = Buffer.allocUnsafeSlow(pieceSize);
  const server: Socket = connect({
    host: '127.0.0.1',
    port: order.targetPort,
    noDelay: true,
    onread: {
      buffer,
      callback: (length) => {
        Atomics.add(order.counter, 0, BigInt(length));
        const wait = carry(length);
        const next = () => server.resume();
        // The buffer is used again only when the client's connection has taken what is in it.
        client.write(buffer.subarray(0, length), () => (wait > 0 ? setTimeout(next, wait) : next()));
        return false;
      },
    },
  });
  client.pipe(server);
  server.on('end', () => client.end());
  endTogether(client, server);
  endTogether(server, client);
}

function endTogether(socket: Socket, other: Socket): void {
  socket.on('error', () => other.destroy());
  socket.on('close', () => other.destroySoon());
}

const listener = createServer({ noDelay: true }, relay);
listener.listen(0, '127.0.0.1', () => {
  const address: AddressInfo | string | null = listener.address();
  if (address !== null && typeof address === 'object') parentPort?.postMessage(address.port);
});
