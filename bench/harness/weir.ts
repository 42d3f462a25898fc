import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, type Lab, type Server } from './lab.ts';

const program = fileURLToPath(new URL('../../src/weir.js', import.meta.url));
/** As in package.json and in the container image. */
const flags = ['--max-semi-space-size=4'];

/** What may be different about a server. */
export interface ServerOptions {
  /** Words before its command, such as those of `taskset`. */
  readonly prefix?: readonly string[];
  /** Further lines of its configuration. */
  readonly more?: string;
}

/** Starts Weir as its users do, with default settings, in front of the registry at this port. */
export async function startWeir(
  lab: Lab,
  upstreamPort: number,
  { prefix = [], more = '' }: ServerOptions = {},
): Promise<Server> {
  const directory = await lab.directory();
  const dataDir = join(directory, 'data');
  const launched = await lab.launch({
    directory,
    readyPath: '/livez',
    command: async (port) => {
      const file = join(directory, 'weir.yaml');
      await writeFile(file, configuration(port, await freePort(), dataDir, upstreamPort) + more);
      return [...prefix, process.execPath, ...flags, program, 'serve', '--config', file];
    },
  });
  return { name: 'Weir', ...launched, evict: () => rm(join(dataDir, 'blobs'), { recursive: true, force: true }) };
}

function configuration(port: number, adminPort: number, dataDir: string, upstreamPort: number): string {
  return `
listen: 127.0.0.1:${port}
admin: 127.0.0.1:${adminPort}
dataDir: ${dataDir}
defaultUpstream: origin
upstreams:
  origin: { endpoints: ['http://127.0.0.1:${upstreamPort}'], insecure: true }
`;
}
