import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, rm, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Clock } from '../../async/clock.ts';
import type { Settings } from '../../config/settings.ts';
import { formatSize } from '../../config/units.ts';
import { bad, type Finding, good, reasonOf } from './finding.ts';

const piece = 4 * 1024 * 1024;
const pieces = 16;
/** Bytes per second that a disk should write: a gigabit network brings twice as much. */
const slow = 50 * 1024 * 1024;
/** Layers are larger than what is left. */
const little = 1024 * 1024 * 1024;

/** Checks that the cache can be written, fast enough, and has room. */
export async function examineDisk({ dataDir }: Settings, clock: Clock): Promise<Finding[]> {
  const path = nearest(resolve(dataDir));
  try {
    const rate = await writingRate(join(path, `.weir-doctor-${randomBytes(4).toString('hex')}`), clock);
    return [speed(dataDir, rate), await room(dataDir, path)];
  } catch (error) {
    const remedy = 'give the user that runs weir the right to write there, or choose another dataDir';
    return [bad('cache', `${path} cannot be written (${reasonOf(error)})`, remedy)];
  }
}

function speed(dataDir: string, rate: number): Finding {
  const found = `${dataDir} takes ${formatSize(rate)}/s`;
  const remedy = 'layers arrive no faster than that: put dataDir on a faster disk, not on a network';
  return rate < slow ? bad('cache speed', found, remedy) : good('cache speed', found);
}

async function room(dataDir: string, path: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(path);
  const found = `${formatSize(bavail * bsize)} are free at ${dataDir}`;
  const remedy = 'make room: what does not fit is fetched again and again';
  return bavail * bsize < little ? bad('cache room', found, remedy) : good('cache room', found);
}

/** Bytes per second, until they are on the disk. */
async function writingRate(path: string, clock: Clock): Promise<number> {
  const file = await open(path, 'wx');
  try {
    const bytes = randomBytes(piece);
    const began = clock.now();
    for (let count = 0; count < pieces; count++) await file.write(bytes);
    await file.sync();
    return (piece * pieces * 1000) / Math.max(1, clock.now() - began);
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

/** The directory, or the one in which it would be made. */
function nearest(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearest(dirname(path));
}
