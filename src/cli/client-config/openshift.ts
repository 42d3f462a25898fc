import { registriesConf } from './containers.ts';
import type { ClientFiles, NodeMirror } from './node-mirror.ts';

/** For OpenShift: mirror sets (config.openshift.io/v1), and a MachineConfig for what they cannot say. */
export function openshiftFiles(mirror: NodeMirror): ClientFiles {
  const machine = { path: '99-worker-weir.yaml', content: machineConfig(mirror) };
  const sets = { path: 'weir-mirror-sets.yaml', content: mirrorSets(mirror) };
  const insecure = `Mirror sets cannot say that a mirror speaks plain HTTP: the image.config.openshift.io/cluster resource must name ${mirror.authority} under registrySources.insecureRegistries, or use the MachineConfig, which says it itself.`;
  return {
    files: [sets, machine],
    notes: [
      'Apply one of them: oc apply -f weir-mirror-sets.yaml (OpenShift 4.13 or newer), or the MachineConfig for older ones. Change the role for other pools. Nodes take it up one after the other.',
      ...(mirror.tls ? [] : [insecure]),
    ],
  };
}

function mirrorSets({ authority, upstreams }: NodeMirror): string {
  const entry = (name: string) => `    - source: "${name}"\n      mirrors:\n        - "${authority}/${name}"\n`;
  const set = (kind: string, key: string) => `apiVersion: config.openshift.io/v1
kind: ${kind}
metadata:
  name: weir
spec:
  ${key}:
${upstreams.map(entry).join('')}`;
  return [set('ImageDigestMirrorSet', 'imageDigestMirrors'), set('ImageTagMirrorSet', 'imageTagMirrors')].join('---\n');
}

function machineConfig(mirror: NodeMirror): string {
  const source = `data:text/plain;charset=utf-8;base64,${Buffer.from(registriesConf(mirror)).toString('base64')}`;
  return `apiVersion: machineconfiguration.openshift.io/v1
kind: MachineConfig
metadata:
  name: 99-worker-weir
  labels:
    machineconfiguration.openshift.io/role: worker
spec:
  config:
    ignition:
      version: 3.2.0
    storage:
      files:
        - path: /etc/containers/registries.conf.d/000-weir.conf
          mode: 420
          overwrite: true
          contents:
            source: "${source}"
`;
}
