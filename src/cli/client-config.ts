import { hostname } from 'node:os';
import { loadConfig } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import { containerdFiles } from './client-config/containerd.ts';
import { crioFiles, podmanFiles } from './client-config/containers.ts';
import { dockerFiles } from './client-config/docker.ts';
import { k3sFiles } from './client-config/k3s.ts';
import type { ClientFiles, NodeMirror } from './client-config/node-mirror.ts';
import { openshiftFiles } from './client-config/openshift.ts';
import { nearest } from './nearest.ts';
import { readWords, UsageError } from './usage.ts';

const clients: Readonly<Record<string, (mirror: NodeMirror) => ClientFiles>> = {
  crio: crioFiles,
  podman: podmanFiles,
  containerd: containerdFiles,
  docker: dockerFiles,
  openshift: openshiftFiles,
  k3s: k3sFiles,
};

const help = `Usage: weir client-config CLIENT [--mirror HOST:PORT] [--upstream NAME]... [--config FILE] [--json]

Prints the files to put on a node, with their paths, so that it pulls through the mirror.
CLIENT is one of: ${Object.keys(clients).join(' ')}

  --mirror    where nodes reach the mirror; with https:// in front when it has a certificate.
              Default: this machine, as the configuration says
  --upstream  a registry to be mirrored; may be repeated. Default: all that are configured

Examples:
  weir client-config crio --mirror mirror.example.com:5000
  weir client-config containerd --mirror https://mirror.example.com:5000 --upstream docker.io --upstream quay.io
  weir client-config openshift --mirror mirror.example.com:5000 --json
`;

/** `weir client-config`: prints what a node needs to use the mirror. @throws ConfigError, UsageError */
export function clientConfig(words: readonly string[]): Promise<number> {
  const { values, positionals } = readWords(
    {
      allowPositionals: true,
      options: {
        config: { type: 'string' },
        mirror: { type: 'string' },
        upstream: { type: 'string', multiple: true },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    },
    words,
  );
  if (values.help) return print(help);
  const [client = '', ...rest] = positionals;
  const filesFor = Object.hasOwn(clients, client) ? clients[client] : undefined;
  if (filesFor === undefined || rest.length > 0) {
    const near = nearest(client, Object.keys(clients));
    const hint = near === undefined || near === client ? '' : `; did you mean ${near}?`;
    throw new UsageError(`client-config expects one of: ${Object.keys(clients).join(' ')}${hint}`);
  }
  const settings = loadConfig({ file: values.config });
  const mirror = mirrorOf(values, settings);
  const { files, notes: ofClient } = filesFor(mirror);
  const notes = [...ofClient, ...strangers(mirror, settings)];
  if (values.json) return print(`${JSON.stringify({ client, files, notes }, undefined, 2)}\n`);
  for (const note of notes) process.stderr.write(`${note}\n`);
  // TOML and YAML read the line with the path as a comment, so that one file may be redirected to its place.
  return print(files.map(({ path, content }) => `# ==> ${path} <==\n${content}`).join('\n'));
}

function mirrorOf(
  { mirror, upstream }: { mirror?: string | undefined; upstream?: string[] | undefined },
  settings: Settings,
): NodeMirror {
  const [, protocol, authority = ''] = /^(https?:\/\/)?(.*?)\/?$/.exec(mirror ?? ownAuthority(settings)) ?? [];
  if (!/^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/.test(authority)) {
    throw new UsageError(`--mirror expects HOST:PORT, and ${authority} is not`);
  }
  const upstreams = upstream ?? settings.upstreams.map(({ name }) => name);
  const strange = upstreams.find((name) => !/^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\d{1,5})?$/.test(name));
  if (strange !== undefined) throw new UsageError(`--upstream expects the name of a registry, and ${strange} is none`);
  return { authority, tls: protocol === undefined ? settings.tls !== undefined : protocol === 'https://', upstreams };
}

/** Upstreams that this configuration does not have: a mirror that has it asks its default upstream for their images. */
function strangers({ upstreams }: NodeMirror, settings: Settings): string[] {
  const known = settings.upstreams.flatMap(({ name, aliases }) => [name, ...aliases]);
  return upstreams
    .filter((name) => !known.includes(name))
    .map((name) => {
      const near = nearest(name, known);
      const hint = near === undefined ? '' : `; did you mean ${near}?`;
      return `${name} is no upstream of this configuration: the mirror must have it${hint}`;
    });
}

/** Where the mirror listens; by the name of this machine where that is everywhere. */
function ownAuthority({ listen: [first] }: Settings): string {
  const { host, port } = first ?? { host: '127.0.0.1', port: 5000 };
  if (host === '0.0.0.0' || host === '::') return `${hostname()}:${port}`;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function print(text: string): Promise<number> {
  process.stdout.write(text);
  return Promise.resolve(0);
}
