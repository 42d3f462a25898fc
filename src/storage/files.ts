import { constants } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { fill } from '../async/fill.ts';
import { StorageError } from './driver.ts';

/** A rename is durable once its directory is. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Fills `buffer` from `position` on.
 * @returns the bytes read: fewer only where the file ends.
 * @throws StorageError
 */
export async function readFully(handle: FileHandle, buffer: Buffer, position: number): Promise<number> {
  const read = async (rest: Buffer, filled: number) =>
    (await handle.read(rest, 0, rest.length, position + filled)).bytesRead;
  return guarded('content cannot be read', () => fill(buffer, read));
}

/** Writes all buffers, one after the other, from `position` on. */
export async function writeFully(handle: FileHandle, buffers: readonly Buffer[], position: number): Promise<void> {
  let rest = buffers;
  let offset = position;
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest, offset);
    offset += bytesWritten;
    rest = dropBytes(rest, bytesWritten);
  }
}

function dropBytes(buffers: readonly Buffer[], count: number): readonly Buffer[] {
  let index = 0;
  let left = count;
  for (const buffer of buffers) {
    if (buffer.length > left) break;
    left -= buffer.length;
    index++;
  }
  const [first, ...rest] = buffers.slice(index);
  return first === undefined || left === 0 ? buffers.slice(index) : [first.subarray(left), ...rest];
}

/** Opens a file for reading; `undefined` when it is not there. @throws StorageError */
export async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new StorageError(codeOf(error), 'a blob cannot be opened', { cause: error });
  }
}

/** The names of all files, or of all directories, in a directory; none when it is not there. @throws StorageError */
export async function namesIn(path: string, what: 'files' | 'directories'): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    const wanted = entries.filter((entry) => (what === 'files' ? entry.isFile() : entry.isDirectory()));
    return wanted.map(({ name }) => name);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw new StorageError(codeOf(error), 'the data directory cannot be listed', { cause: error });
  }
}

/** Bytes that a file takes on the disk: of a sparse one, only what was written. None when it is not there. @throws StorageError */
export async function bytesTakenBy(path: string): Promise<number> {
  try {
    // The unit of this figure is 512 bytes, whatever the file system (stat(2)).
    return (await stat(path)).blocks * 512;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 0;
    throw new StorageError(codeOf(error), 'arriving content cannot be looked at', { cause: error });
  }
}

/** Runs file system work. @throws StorageError that says `what` could not be done, for whatever it throws. */
export async function guarded<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new StorageError(codeOf(cause), `${what} (${codeOf(cause)})`, { cause });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'EIO';
}
