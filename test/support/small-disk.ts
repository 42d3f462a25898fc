import { execFileSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { tempDir } from './temp.ts';

/** A real file system of so many MiB, in memory. It goes when the process ends. Only root can make one. */
export function smallDisk(mebibytes: number): string {
  const directory = tempDir();
  run('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', directory]);
  // Lazily: whatever still has a file open there is closed with the process.
  process.prependOnceListener('exit', () => run('umount', ['-l', directory]));
  return directory;
}

const run = (program: string, words: readonly string[]) => void execFileSync(program, words);

/** Bytes that can still be written there. */
export function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
