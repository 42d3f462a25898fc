import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

const privateSubnets = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'],
  ['::', 96, 'ipv6'],
  ['64:ff9b:1::', 48, 'ipv6'],
  ['100::', 64, 'ipv6'],
  ['2001::', 23, 'ipv6'],
  ['2001:db8::', 32, 'ipv6'],
  ['2002::', 16, 'ipv6'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
  ['fec0::', 10, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
] as const;

/** An upstream pointed to where it may not lead us: to an address that is not on the public Internet, or to plain http. */
export class ForbiddenAddressError extends Error {
  override readonly name = 'ForbiddenAddressError';
}

/** Keeps connections to hosts that an upstream names (redirects, token realms) away from private networks. */
export class AddressGuard {
  readonly #private = new BlockList();

  constructor() {
    for (const [net, prefix, family] of privateSubnets) {
      this.#private.addSubnet(net, prefix, family);
      // Where there is only IPv6, a translator makes IPv4 addresses of these (RFC 6052); the public ones are welcome.
      if (family === 'ipv4') this.#private.addSubnet(`64:ff9b::${net}`, 96 + prefix, 'ipv6');
    }
  }

  /** Whether this IP address is private, loopback, link-local, multicast or reserved (RFC 6890). */
  isPrivate(address: string): boolean {
    const family = isIP(address);
    // IPv4-mapped IPv6 addresses are checked by BlockList as what they map to.
    return family !== 0 && this.#private.check(address, family === 6 ? 'ipv6' : 'ipv4');
  }

  /** A lookup for `net.connect` that fails when a name resolves to any private address: checked at the moment of use. */
  get lookup(): LookupFunction {
    return (hostname, options, callback) => {
      lookup(hostname, { ...options, all: true } satisfies LookupOptions, (error, addresses: LookupAddress[]) => {
        const [first] = addresses ?? [];
        if (error || first === undefined) return callback(error, '');
        if (addresses.some(({ address }) => this.isPrivate(address))) {
          return callback(new ForbiddenAddressError(`${hostname} has a private address`), '');
        }
        if (options.all) callback(null, addresses);
        else callback(null, first.address, first.family);
      });
    };
  }
}
