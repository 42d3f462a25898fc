import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Lab, Server } from './lab.ts';
import type { ServerOptions } from './weir.ts';

const large = 1024 * 1024;

/** Starts docker-registry on an empty directory, to be pushed to. */
export function startRegistry(lab: Lab, options: ServerOptions = {}): Promise<Server> {
  return start(lab, 'docker-registry', '', options);
}

/** Starts docker-registry as a pull-through cache of the registry at this port. */
export function startRegistryProxy(lab: Lab, upstreamPort: number, options: ServerOptions = {}): Promise<Server> {
  return start(lab, 'docker-registry proxy', `proxy: { remoteurl: 'http://127.0.0.1:${upstreamPort}' }\n`, options);
}

async function start(lab: Lab, name: string, more: string, { prefix = [] }: ServerOptions): Promise<Server> {
  const directory = await lab.directory();
  const data = join(directory, 'data');
  await mkdir(data);
  const launched = await lab.launch({
    directory,
    readyPath: '/v2/',
    command: async (port) => {
      const file = join(directory, 'config.yml');
      await writeFile(file, `${configuration(port, data)}${more}`);
      return [...prefix, 'docker-registry', 'serve', file];
    },
  });
  return { name, ...launched, evict: () => removeLarge(data) };
}

function configuration(port: number, data: string): string {
  return `version: 0.1
log: { level: info }
storage: { filesystem: { rootdirectory: ${data} } }
http: { addr: '127.0.0.1:${port}' }
`;
}

/** Manifests and configs stay, as they do in the other programs. */
async function removeLarge(directory: string): Promise<void> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    if ((await stat(path)).size >= large) await rm(path, { force: true });
  }
}
