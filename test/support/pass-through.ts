import { createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Ends } from './mirror.ts';

/** Starts a proxy that does nothing about anything: what the upstream does, its clients see. @returns its URL */
export async function startPassThrough(ends: Ends, upstream: string): Promise<string> {
  const server = createServer((request, response) => {
    const { method, headers, url = '' } = request;
    const outgoing = send(new URL(url, upstream), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on('data', (chunk) => response.write(chunk));
      answer.on('end', () => response.end());
      answer.on('error', () => response.destroy());
    });
    outgoing.on('error', () => response.destroy());
    response.on('close', () => outgoing.destroy());
    outgoing.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.after(async () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
