import { isIP } from 'node:net';

/** A range of IP addresses: RFC 4632, RFC 4291 §2.3. */
export interface Network {
  readonly address: string;
  /** How many leading bits count. */
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** Reads `10.0.0.0/8`, `fd00::/8`, or one address; `undefined` for anything else. */
export function parseNetwork(text: string): Network | undefined {
  const [, address = '', length] = /^([0-9a-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  const bits = version === 4 ? 32 : 128;
  const prefix = length === undefined ? bits : Number(length);
  if (version === 0 || prefix > bits) return undefined;
  return { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' };
}
