import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The version that a command says it has, with its name. @throws Error when it cannot be run. */
export async function versionOf(command: string, flag: string): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(command, [flag]);
  const version = /\d+\.\d+[\w.+-]*/.exec(`${stdout}${stderr}`)?.[0] ?? 'of unknown version';
  return `${command} ${version}`;
}
