import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Dockerd } from './dockerd.ts';
import { run } from './program.ts';
import { tempDir } from './temp.ts';

/** What the stand-in is made of. */
export const baseImagePrograms = [
  'sh',
  'env',
  'install',
  'cp',
  'chmod',
  'ln',
  'rm',
  'find',
  'ldd',
  'npm',
  'tar',
] as const;

const authorities = '/etc/ssl/certs/ca-certificates.crt';

/**
 * Gives a daemon an image of this name that has what the Dockerfile uses of Node's own: the programs of this machine
 * with their libraries, the node that runs this, and npm. Images of Docker Hub cannot be had everywhere.
 */
export async function importBaseImage(daemon: Dockerd, name: string): Promise<void> {
  const root = tempDir();
  const put = (source: string, target = source) => {
    mkdirSync(join(root, dirname(target)), { recursive: true });
    cpSync(source, join(root, target), { recursive: true, dereference: true });
  };
  const programs = ['sh', 'env', 'install', 'cp', 'chmod', 'ln', 'rm', 'find'].map((program) =>
    join('/usr/bin', program),
  );
  for (const program of programs) put(program);
  put('/usr/bin/sh', '/bin/sh');
  put(process.execPath, '/usr/local/bin/node');
  for (const library of await librariesOf([...programs, process.execPath])) put(library);
  put(await ownNpm(), '/usr/local/lib/node_modules/npm');
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'));
  put(process.env['NODE_EXTRA_CA_CERTS'] ?? authorities, authorities);
  const archive = join(tempDir(), 'base.tar');
  await run(['tar', '--create', '--file', archive, '--directory', root, '.']);
  await daemon.run(['import', '--change', `ENV NODE_EXTRA_CA_CERTS=${authorities}`, archive, name]);
}

/** Where the npm of this machine lies: the one that runs this, if one does. Its own idea of that depends on which node runs it. */
async function ownNpm(): Promise<string> {
  const program = process.env['npm_execpath'] ?? (await run(['sh', '-c', 'readlink -f "$(command -v npm)"'])).trim();
  return dirname(dirname(program));
}

async function librariesOf(programs: readonly string[]): Promise<ReadonlySet<string>> {
  const text = await run(['ldd', ...programs]);
  return new Set(text.match(/(?<=\s)\/\S+(?= \(0x)/g) ?? []);
}
