import { type Ingest, StorageError } from '../storage/driver.ts';

/** Where arriving content goes that there is no room for: it holds nothing, and takes nothing. */
export class Nowhere implements Ingest {
  readonly hashed = 0;

  write(): Promise<void> {
    return Promise.reject(new StorageError('ENOSPC', 'there is no room'));
  }

  read(): Promise<number> {
    return Promise.resolve(0);
  }

  hash(): Promise<never[]> {
    return Promise.resolve([]);
  }

  digest(): Promise<never> {
    return Promise.reject(new StorageError('ENOSPC', 'there is nothing'));
  }

  checksum(): Promise<never[]> {
    return Promise.resolve([]);
  }

  commit(): Promise<void> {
    return this.write();
  }

  async discard(): Promise<void> {}

  async close(): Promise<void> {}
}
