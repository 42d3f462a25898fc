import { type ClientFiles, type NodeMirror, urlOfMirror } from './node-mirror.ts';

/** Where a registry is found that has another name. */
const servers: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' };

/** For containerd: docs/hosts.md of its sources. */
export function containerdFiles(mirror: NodeMirror): ClientFiles {
  const files = mirror.upstreams.map((name) => ({
    path: `/etc/containerd/certs.d/${name}/hosts.toml`,
    content: `server = "https://${servers[name] ?? name}"

[host."${urlOfMirror(mirror)}"]
capabilities = ["pull", "resolve"]
`,
  }));
  const notes = [
    'It counts from the next pull on, where /etc/containerd/config.toml says config_path = "/etc/containerd/certs.d" under the registry settings of the CRI plugin.',
  ];
  return { files, notes };
}
