import { type ClientFiles, type NodeMirror, urlOfMirror } from './node-mirror.ts';

/** For Docker: daemon.json, which knows mirrors of Docker Hub only. */
export function dockerFiles(mirror: NodeMirror): ClientFiles {
  const insecure = mirror.tls ? {} : { 'insecure-registries': [mirror.authority] };
  const settings = { 'registry-mirrors': [urlOfMirror(mirror)], ...insecure };
  return {
    files: [{ path: '/etc/docker/daemon.json', content: `${JSON.stringify(settings, undefined, 2)}\n` }],
    notes: [
      'Merge it with what is there, then: systemctl reload docker.',
      'Docker asks mirrors for docker.io only, which has to be the default upstream of this one.',
    ],
  };
}
