import { BlockList, isIP } from 'node:net';

interface Entry {
  readonly host: string;
  /** Whether names below `host` are meant, and not `host` itself. */
  readonly belowOnly: boolean;
  /** `undefined` for any. */
  readonly port: string | undefined;
}

/**
 * Reads the value of `NO_PROXY` and tells which hosts are asked directly, in the way of Go's programs: entries between
 * commas or spaces, each a name (with all names below it), `.name` or `*.name` (those below it alone), an address, a
 * network like `10.0.0.0/8`, any but the last with `:port`, or `*` for all. Names are not resolved: a network covers only
 * hosts that are written as addresses. An entry that is none of these covers nothing.
 */
export function parseNoProxy(text: string): (url: URL) => boolean {
  const words = text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((word) => word !== '');
  if (words.includes('*')) return () => true;
  const networks = new BlockList();
  const entries = words.flatMap((word) => (addNetwork(networks, word) ? [] : readEntry(word)));
  return (url) => {
    const host = bare(url.hostname);
    const family = isIP(host);
    if (family !== 0 && networks.check(host, family === 6 ? 'ipv6' : 'ipv4')) return true;
    const port = url.port || (url.protocol === 'https:' ? '443' : '80');
    return entries.some((entry) => (entry.port === undefined || entry.port === port) && covers(entry, host));
  };
}

/** Whether the word was a network, or one address. */
function addNetwork(networks: BlockList, word: string): boolean {
  const [, address = '', length] = /^(.+?)(?:\/(\d{1,3}))?$/.exec(word) ?? [];
  const family = isIP(address);
  const longest = family === 6 ? 128 : 32;
  const bits = length === undefined ? longest : Number(length);
  if (family === 0 || bits > longest) return false;
  networks.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4');
  return true;
}

function readEntry(word: string): Entry[] {
  const [, dot, name, port] = /^(\*?\.)?(\[[^\]/]+\]|[^:/[\]]+)(?::(\d{1,5}))?$/.exec(word) ?? [];
  return name === undefined ? [] : [{ host: canonical(bare(name)), belowOnly: dot !== undefined, port }];
}

function covers({ host, belowOnly }: Entry, asked: string): boolean {
  return (!belowOnly && asked === host) || (isIP(asked) === 0 && asked.endsWith(`.${host}`));
}

/** An address as a URL writes it. */
function canonical(host: string): string {
  return isIP(host) === 6 ? bare(new URL(`http://[${host}]/`).hostname) : host;
}

/** Without the brackets of an IPv6 address, and the dot at the end of a complete name. */
function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
}
