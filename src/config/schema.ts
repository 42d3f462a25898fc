import { z } from 'zod';
import { type Network, parseNetwork } from './networks.ts';
import { parseProxy } from './proxy.ts';
import { parseDuration, parseSample, parseShare, parseSize } from './units.ts';

const duration = written(parseDuration, 'a duration', ['250ms', '3s', '5m', '2h', '7d']);
const size = written(parseSize, 'a size', ['512MiB', '1.5GiB', '100GB']);
const share = written(parseShare, 'a percentage or a size', ['5%', '10GiB']);
const sample = written(parseSample, 'a part', ['1/16', '1', '0']);
const address = written(parseAddress, 'an address', ['127.0.0.1:5000', '[::1]:5000']);
const addresses = z.union([address.transform((one) => [one]), z.array(address).min(1)]);
const network = written(parseNetwork, 'a network', ['10.0.0.0/8', 'fd00::/8']);
const endpoint = written(parseEndpoint, 'a URL', ['https://registry.example.com']);
const proxy = written(parseProxy, 'the URL of a proxy', ['http://proxy.example.com:3128']);

const repositories = z
  .array(z.string().regex(/^[a-z0-9*._/-]+$/, 'expected a repository pattern like library/*'))
  .min(1);

/** One upstream as a file may write it: every key optional. */
const upstream = z.strictObject({
  endpoints: z
    .array(endpoint)
    .min(1)
    .exactOptional()
    .describe('Base URLs of the registry, tried in order; where none is said, https:// and the name'),
  aliases: z
    .array(z.string().regex(/^[a-z0-9]+(?:[._-][a-z0-9]+)*$/, 'expected one lower-case path segment'))
    .exactOptional()
    .describe('Further names: with `hub`, /v2/hub/… is this upstream too'),
  credentials: z
    .strictObject({
      username: z.string().min(1).describe('The name to log in with'),
      passwordFile: z.string().min(1).describe('A file that holds the password'),
    })
    .exactOptional()
    .describe('A login; the password file is read at each use'),
  tagTtl: duration.exactOptional().describe('How long a tag is served without asking the upstream again'),
  negativeTtl: duration.exactOptional().describe('How long an answer "not found" is remembered'),
  staleIfError: duration
    .exactOptional()
    .describe('How long after its last check a tag is served while the upstream fails'),
  offline: z.boolean().exactOptional().describe('Never asked: what is held is served, however old it is'),
  connections: z.int().min(1).max(256).exactOptional().describe('Downloads at a time from this upstream'),
  giveUp: duration.exactOptional().describe('How long a missing part of a blob is tried again'),
  stallTimeout: duration.exactOptional().describe('Silence after which a part is asked for again'),
  privateNetwork: z.boolean().exactOptional().describe('Redirects and token realms may have private addresses'),
  realms: z
    .array(z.string().regex(/^[a-z0-9.-]+(?::\d{1,5})?$/, 'expected a host like gitlab.example.com'))
    .exactOptional()
    .describe('Hosts of token services that may be sent our login though they are of another domain than the registry'),
  proxy: proxy.exactOptional().describe('The HTTP proxy for all of this upstream; counts before the environment’s'),
  ca: z.string().min(1).exactOptional().describe('A PEM file of further certificate authorities'),
  insecure: z.boolean().exactOptional().describe('Plain http and unverified TLS are allowed'),
  allow: repositories.exactOptional().describe('Only these repositories may be pulled; `*` matches any characters'),
  deny: repositories.exactOptional().describe('These repositories may not be pulled'),
});

/** A configuration file as it is written: every key optional, unknown keys refused. */
export const configSchema = z.strictObject({
  listen: addresses.exactOptional().describe('Where the registry API listens'),
  admin: address.exactOptional().describe('Where metrics and the admin API listen'),
  adminHosts: z
    .array(z.string().regex(/^[a-zA-Z0-9._-]+$/, 'expected a name like weir.example.com'))
    .exactOptional()
    .describe('Names by which the admin address is asked, besides addresses and localhost'),
  adminToken: z
    .strictObject({ file: z.string().min(1).describe('A file that holds it; read at each use') })
    .exactOptional()
    .describe('Changes at the admin address need this bearer token; without one, they come from loopback only'),
  tls: z
    .strictObject({
      cert: z.string().min(1).describe('A PEM file: the certificate, and those that it is signed by'),
      key: z.string().min(1).describe('A PEM file: its private key'),
    })
    .exactOptional()
    .describe('The registry API speaks HTTPS; the files are read again when they change'),
  dataDir: z.string().min(1).exactOptional().describe('Where blobs and the catalog are kept'),
  cache: z
    .strictObject({
      maxSize: size.exactOptional().describe('Least recently used content goes when the cache is larger than this'),
      minFree: share.exactOptional().describe('So much of the file system, or so many bytes of it, is left free'),
      verifySample: z
        .union([sample, z.int().min(0).max(1)])
        .exactOptional()
        .describe('The part of what is read from the cache that is checked first; 1: all, 0: none'),
      idleFlight: duration.exactOptional().describe('A download that nobody reads stops after this; what it has stays'),
    })
    .exactOptional()
    .describe('What is kept'),
  defaultUpstream: z.string().exactOptional().describe('For names that say no upstream'),
  upstreams: z
    .record(z.string().regex(/^(?:\[[0-9a-f:]+\]|[a-z0-9]+(?:[._-]+[a-z0-9]+)*)(?::\d{1,5})?$/), upstream.nullable(), {
      error: ({ code }) =>
        code === 'invalid_key'
          ? 'expected a host like registry.example.com:5000'
          : 'expected registries like quay.io: {}',
    })
    .exactOptional()
    .describe('Merged over the defaults by name; null removes one'),
  credentials: z
    .strictObject({
      dockerConfig: z.string().min(1).describe('A config.json of Docker, an auth.json or a .dockerconfigjson'),
    })
    .exactOptional()
    .describe('Logins for the upstreams that have none of their own; read at each use'),
  watchdog: z
    .strictObject({
      timeout: more(duration).exactOptional().describe('After so much silence, nodes are assumed to give up a pull'),
      drip: more(duration).exactOptional().describe('After so much silence, a client is sent one byte of the reserve'),
      guard: z
        .enum(['auto', 'always', 'off'])
        .exactOptional()
        .describe('For whom last bytes wait while a node unpacks; auto: where its runtime can time out'),
      commitRate: more(size).exactOptional().describe('Compressed bytes that a node unpacks per second'),
      commitRates: z
        .record(z.string().refine(parseNetwork), more(size), {
          error: ({ code }) => (code === 'invalid_key' ? 'expected a network like 10.0.0.0/8, fd00::/8' : undefined),
        })
        .transform(readRates)
        .exactOptional()
        .describe('The same for nodes in these networks; the narrowest counts'),
      maxHold: duration.exactOptional().describe('How long last bytes wait at most, once all below is delivered'),
    })
    .exactOptional()
    .describe('What is assumed of the nodes, and done for them'),
  prefetch: z.boolean().exactOptional().describe('Layers that a pull will probably ask for are fetched before'),
  clients: z
    .strictObject({
      maxStreams: z.int().min(1).exactOptional().describe('With so many blobs on their way to clients, no pull begins'),
      htpasswd: z
        .string()
        .min(1)
        .exactOptional()
        .describe(
          'A file of users and the bcrypt hashes of their passwords (htpasswd -B): only they may use the mirror',
        ),
      trustProxy: z.array(network).exactOptional().describe('Proxies whose X-Forwarded-For is believed'),
    })
    .exactOptional()
    .describe('Who may ask, and how much'),
  drainTimeout: duration.exactOptional().describe('How long pulls may go on after SIGTERM'),
  log: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
        .exactOptional()
        .describe('What is less important is not written'),
      format: z.enum(['json', 'pretty']).exactOptional().describe('Default: pretty on a terminal'),
    })
    .exactOptional()
    .describe('The log, on stdout'),
});

/** What `configSchema` makes of a file. */
export type ConfigFile = z.output<typeof configSchema>;

/** What `configSchema` makes of one upstream. */
export type UpstreamEntry = z.output<typeof upstream>;

/** A TCP address to listen on. */
export interface ListenAddress {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Nobody has asked for it: where the machine has no such address, it is left out. */
  readonly optional?: true;
}

function parseAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9.-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65535 ? undefined : { host, port };
}

/** An endpoint is an origin: what stands behind the host is the registry's own business. */
function parseEndpoint(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) return undefined;
  return url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' ? url.origin : undefined;
}

/** What nodes in a network unpack. */
export interface NetworkRate {
  readonly network: Network;
  /** Compressed bytes per second, > 0. */
  readonly commitRate: number;
}

function readRates(rates: Readonly<Record<string, number>>): NetworkRate[] {
  return Object.entries(rates).flatMap(([text, commitRate]) => {
    const network = parseNetwork(text);
    return network === undefined ? [] : { network, commitRate };
  });
}

/** The same, but not zero. */
function more(quantity: typeof duration) {
  return quantity.refine((value) => value > 0, 'expected more than zero');
}

/** Text with a grammar of its own. `examples` are for editors, and for whoever got it wrong. */
function written<T>(parse: (text: string) => T | undefined, name: string, examples: readonly string[]) {
  const message = `expected ${name} like ${examples.join(', ')}`;
  return z
    .string(message)
    .meta({ examples: [...examples] })
    .transform((text, context) => {
      const value = parse(text);
      if (value !== undefined) return value;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    });
}
