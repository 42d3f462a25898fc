import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { connect } from 'node:net';

/** An answer, as a node sees it. */
export interface ClientAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** Whether the body came to its announced end. */
  readonly complete: boolean;
  /** `FIN` or `RST`, where the connection ended before that. */
  readonly ending: 'complete' | 'FIN' | 'RST';
  /** Milliseconds from the request to the first byte of the body. */
  readonly firstByte: number;
  /** The longest time in milliseconds between two arrivals of bytes of the body. */
  readonly longestGap: number;
}

/** What a request may carry. */
export interface ClientRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The certificate that an https server must have, for `localhost`. */
  readonly ca?: string;
  /** Called as bytes arrive, with how many there are so far; `false` closes the connection. */
  readonly onBytes?: (received: number) => boolean | undefined;
}

/** Sends one request on a connection of its own, and reads the answer to its end, whatever that is. */
export function fetchRaw(url: string, options: ClientRequest = {}): Promise<ClientAnswer> {
  return new Promise((resolve, reject) => {
    const sentAt = performance.now();
    const { method = 'GET', headers = {}, body, ca } = options;
    const request = url.startsWith('https:') ? requestTls : requestPlain;
    const outgoing = request(url, { method, headers, ca, servername: 'localhost', agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let received = 0;
      let firstByte = 0;
      let lastAt = 0;
      let longestGap = 0;
      let code = '';
      response.on('data', (chunk: Buffer) => {
        const now = performance.now();
        if (received === 0) firstByte = now - sentAt;
        else longestGap = Math.max(longestGap, now - lastAt);
        lastAt = now;
        received += chunk.length;
        chunks.push(chunk);
        if (options.onBytes?.(received) === false) response.destroy();
      });
      response.on('error', (error) => {
        code = 'code' in error ? String(error.code) : '';
      });
      outgoing.on('error', (error) => {
        code = 'code' in error ? String(error.code) : code;
      });
      response.on('close', () => {
        const { complete } = response;
        const ending = complete
          ? 'complete'
          : outgoing.socket?.errored && code === 'ECONNRESET' && isReset(outgoing.socket.errored)
            ? 'RST'
            : 'FIN';
        const { statusCode: status = 0, headers: received } = response;
        resolve({ status, headers: received, body: Buffer.concat(chunks), complete, ending, firstByte, longestGap });
      });
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

/** A read that ended in a reset; Node.js calls an early FIN `ECONNRESET` too, but without a system call. */
function isReset(error: Error): boolean {
  return 'syscall' in error && error.syscall === 'read';
}

/** Sends bytes as they are, and returns all that comes back until the other side closes. `half`: closes its own half at once. */
export function sendBytes(
  port: number,
  bytes: string | Buffer,
  half = false,
): Promise<{ text: string; reset: boolean }> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let reset = false;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: half }, () => {
      if (half) socket.end(bytes);
      else socket.write(bytes);
    });
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', (error) => {
      reset ||= 'code' in error && error.code === 'ECONNRESET';
    });
    socket.on('close', () => resolve({ text: Buffer.concat(chunks).toString('latin1'), reset }));
  });
}
