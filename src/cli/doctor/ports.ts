import { once } from 'node:events';
import { createServer } from 'node:net';
import type { ListenAddress } from '../../config/schema.ts';
import type { Settings } from '../../config/settings.ts';
import { ask, urlOf } from '../ask.ts';
import { bad, type Finding, good, reasonOf } from './finding.ts';

const remedies: Readonly<Record<string, string>> = {
  EADDRINUSE: 'end what listens there, or choose another port',
  EACCES: 'ports below 1024 need rights: choose another one',
  EADDRNOTAVAIL: 'this machine has no such address: choose one that it has, or 0.0.0.0',
};

/** Checks that the addresses can be listened on, or that a mirror does so already. */
export function examinePorts({ listen, admin, tls }: Settings): Promise<Finding[]> {
  const protocol = tls === undefined ? 'http' : 'https';
  const registry = listen.map((address) => examine('listen', address, () => isMirror(urlOf(address, protocol))));
  return Promise.all([...registry, examine('admin', admin, () => isAdmin(urlOf(admin, 'http')))]);
}

/** An error at listening, with what to do about it; any other error as it is. */
export function withRemedy(error: unknown): unknown {
  const remedy = remedies[reasonOf(error)];
  if (remedy === undefined || !(error instanceof Error)) return error;
  return new Error(`${error.message}: ${remedy}`, { cause: error });
}

async function examine(key: string, address: ListenAddress, isOurs: () => Promise<boolean>): Promise<Finding> {
  const { host, port } = address;
  const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  try {
    await listen(address);
    return good(key, `${place} is free`);
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === 'EADDRINUSE' && (await isOurs())) return good(key, `a mirror runs at ${place}`);
    return bad(key, `${place} cannot be listened on (${reason})`, remedies[reason] ?? `change ${key}`);
  }
}

async function listen({ host, port }: ListenAddress): Promise<void> {
  const server = createServer().listen(port, host);
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}

async function isMirror(url: URL): Promise<boolean> {
  return answers(new URL('/livez', url), /^ok/);
}

async function isAdmin(url: URL): Promise<boolean> {
  return answers(new URL('/metrics', url), /^weir_/m);
}

async function answers(url: URL, expected: RegExp): Promise<boolean> {
  const answer = await ask(url).catch(() => undefined);
  return answer?.status === 200 && expected.test(answer.body.toString());
}
