import { type ClientFiles, type NodeMirror, urlOfMirror } from './node-mirror.ts';

/** For k3s and RKE2: registries.yaml. */
export function k3sFiles(mirror: NodeMirror): ClientFiles {
  const entry = (name: string) => `  "${name}":\n    endpoint:\n      - "${urlOfMirror(mirror)}"\n`;
  const content = `mirrors:\n${mirror.upstreams.map(entry).join('')}`;
  return {
    files: [{ path: '/etc/rancher/k3s/registries.yaml', content }],
    notes: [
      'For RKE2: /etc/rancher/rke2/registries.yaml. Then restart k3s (rke2-server, rke2-agent): it is read at the start.',
    ],
  };
}
