import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { Network } from '../config/networks.ts';

/**
 * Tells who a request comes from: the address at the other end of the connection or, where that is a trusted proxy, the
 * rightmost address of `X-Forwarded-For` that is none. What stands left of it, anybody can have written.
 */
export function clientAddresses(trusted: readonly Network[]): (request: IncomingMessage) => string {
  const proxies = new BlockList();
  for (const { address, prefix, family } of trusted) proxies.addSubnet(address, prefix, family);
  const isProxy = (address: string) => address !== '' && proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  return ({ socket, headers }) => {
    const peer = readAddress(socket.remoteAddress ?? '') ?? '';
    if (trusted.length === 0) return peer;
    return nearest(peer, headers['x-forwarded-for']?.toString() ?? '', isProxy);
  };
}

function nearest(peer: string, forwarded: string, isProxy: (address: string) => boolean): string {
  let client = peer;
  let rest = forwarded;
  while (rest !== '' && isProxy(client)) {
    const comma = rest.lastIndexOf(',');
    const before = readAddress(rest.slice(comma + 1).trim());
    if (before === undefined) break;
    client = before;
    rest = rest.slice(0, Math.max(0, comma));
  }
  return client;
}

/** An IP address, with a port or without; an IPv4 address in its own form. */
function readAddress(text: string): string | undefined {
  const [, bracketed, dotted] = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(text) ?? [];
  const address = (bracketed ?? dotted ?? text).replace(/%.*$/s, '').replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(address) === 0 ? undefined : address;
}
