import { StorageError } from '../storage/driver.ts';

/** What SQLite says when the disk is full, fails, or cannot be written any more. */
const failures = /^SQLITE_(?:FULL|IOERR|READONLY|CANTOPEN)/;

/** The error itself; a StorageError where the catalog could not be written for want of a disk. */
export function asStorageError(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!failures.test(code)) return error;
  const errno = code.startsWith('SQLITE_FULL') ? 'ENOSPC' : 'EIO';
  return new StorageError(errno, `the catalog cannot be written (${code})`, { cause: error });
}

/** What the system says when this process has too much open or in use: it tells nothing of what was to be read. */
const shortages: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EHASHER']);

/** Whether something could not be read for want of what it takes to read. */
export function isShortage(error: unknown): boolean {
  return error instanceof StorageError && shortages.has(error.code);
}

/**
 * Writes down what is good to know and can be done without: where the disk cannot take it, serving goes on.
 * @returns whether it was written. @throws whatever has another reason
 */
export function tryWrite(write: () => void): boolean {
  try {
    write();
    return true;
  } catch (error) {
    if (asStorageError(error) instanceof StorageError) return false;
    throw error;
  }
}
