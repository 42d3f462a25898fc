import type { ClientFiles, NodeMirror } from './node-mirror.ts';

const path = '/etc/containers/registries.conf.d/000-weir.conf';

/** For CRI-O: containers-registries.conf.d(5). */
export function crioFiles(mirror: NodeMirror): ClientFiles {
  const reload = 'Then: systemctl reload crio. While the mirror does not answer, nodes go to the registry itself.';
  return { files: [{ path, content: registriesConf(mirror) }], notes: [reload] };
}

/** For Podman, Buildah and Skopeo, which read the same file. */
export function podmanFiles(mirror: NodeMirror): ClientFiles {
  const note = 'It counts from the next pull on; Buildah and Skopeo read it too.';
  return { files: [{ path, content: registriesConf(mirror) }], notes: [note] };
}

/** One table for each registry: containers-registries.conf(5). */
export function registriesConf({ authority, tls, upstreams }: NodeMirror): string {
  const insecure = tls ? '' : 'insecure = true\n';
  const table = (name: string) => `[[registry]]
prefix = "${name}"
location = "${name}"

[[registry.mirror]]
location = "${authority}/${name}"
${insecure}`;
  return upstreams.map(table).join('\n');
}
