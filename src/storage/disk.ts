import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { algorithmOf, type Digest, hexOf, isDigest } from '../oci/digest.ts';
import type { Capacity, Ingest, Piece, StorageDriver, StoredBlob } from './driver.ts';
import { bytesTakenBy, guarded, namesIn, openIfThere, readFully, syncDirectory, writeFully } from './files.ts';
import { Hasher, type HashStream } from './hasher.ts';

// <root>/
//   blobs/<algorithm>/<first two hex digits>/<hex>    verified content, never written to
//   ingest/<name>                                     arriving content, sparse
//   probe                                             written and read back by readiness checks

/** Content as files below one directory. Files are renamed into `blobs/` only when they are whole and on the disk. */
export class DiskStorage implements StorageDriver {
  readonly #root: string;
  /** For what arrives. Threads begin when they are needed. */
  #hasher: Hasher | undefined;
  /** For what is stored, which never waits behind what arrives. */
  #checker: Hasher | undefined;

  private constructor(root: string) {
    this.#root = root;
  }

  /** Opens the directory, made when it is missing. @throws StorageError */
  static async open(root: string): Promise<DiskStorage> {
    const what = `the data directory ${root} cannot be made: see that this user may write there, or set dataDir`;
    await guarded(what, () => mkdir(join(root, 'ingest'), { recursive: true }));
    return new DiskStorage(root);
  }

  async open(digest: Digest): Promise<StoredBlob | undefined> {
    const handle = await openIfThere(this.#blobPath(digest));
    if (handle === undefined) return undefined;
    const { size } = await guarded('a blob cannot be read', () => handle.stat());
    return new DiskBlob(handle, size, () => {
      this.#checker ??= new Hasher();
      return this.#checker.open(this.#blobPath(digest), algorithmOf(digest));
    });
  }

  async remove(digest: Digest): Promise<void> {
    await guarded('a blob cannot be removed', () => rm(this.#blobPath(digest), { force: true }));
  }

  async reopen(digest: Digest, name: string): Promise<void> {
    await guarded('a blob cannot be opened again', () =>
      rename(this.#blobPath(digest), join(this.#root, 'ingest', name)),
    );
  }

  async list(): Promise<readonly Digest[]> {
    const root = join(this.#root, 'blobs');
    const digests: Digest[] = [];
    for (const algorithm of await namesIn(root, 'directories')) {
      // One after the other: with many blobs there, others have their turns between them.
      for (const prefix of await namesIn(join(root, algorithm), 'directories')) {
        const names = await namesIn(join(root, algorithm, prefix), 'files');
        digests.push(...names.map((hex) => toDigest(algorithm, prefix, hex)).filter((digest) => digest !== undefined));
      }
    }
    return digests;
  }

  async ingest(name: string, digest: Digest): Promise<Ingest> {
    const path = join(this.#root, 'ingest', name);
    const handle = await guarded('arriving content cannot be written', () =>
      open(path, constants.O_RDWR | constants.O_CREAT, 0o644),
    );
    try {
      this.#hasher ??= new Hasher();
      // What arrives is not kept waiting for the thread.
      const stream = this.#hasher.open(path, algorithmOf(digest));
      return new DiskIngest(path, handle, stream, (target) => this.#blobPath(target));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async ingests(): Promise<ReadonlyMap<string, number>> {
    const directory = join(this.#root, 'ingest');
    const names = await namesIn(directory, 'files');
    const bytes = await Promise.all(names.map((name) => bytesTakenBy(join(directory, name))));
    return new Map(names.map((name, index) => [name, bytes[index] ?? 0]));
  }

  async removeIngest(name: string): Promise<void> {
    await guarded('arriving content cannot be removed', () => rm(join(this.#root, 'ingest', name), { force: true }));
  }

  async capacity(): Promise<Capacity> {
    const { blocks, bavail, bsize } = await guarded('the file system cannot be asked', () => statfs(this.#root));
    return { total: blocks * bsize, free: bavail * bsize };
  }

  async probe(): Promise<void> {
    await guarded('the data directory cannot be written', () => writeFile(join(this.#root, 'probe'), 'weir\n'));
  }

  async close(): Promise<void> {
    await this.#hasher?.close();
    await this.#checker?.close();
  }

  #blobPath(digest: Digest): string {
    const hex = hexOf(digest);
    return join(this.#root, 'blobs', algorithmOf(digest), hex.slice(0, 2), hex);
  }
}

class DiskBlob implements StoredBlob {
  readonly #handle: FileHandle;
  readonly #openStream: () => HashStream;
  readonly size: number;
  #stream: HashStream | undefined;

  constructor(handle: FileHandle, size: number, openStream: () => HashStream) {
    this.#handle = handle;
    this.size = size;
    this.#openStream = openStream;
  }

  read(buffer: Buffer, position: number): Promise<number> {
    return readFully(this.#handle, buffer, position);
  }

  async hash(to: number): Promise<readonly Piece[]> {
    return this.#hashing().hash(to);
  }

  async digest(): Promise<{ hex: string; tail: Piece | undefined }> {
    return this.#hashing().digest();
  }

  async checksum(intervals: readonly { start: number; end: number }[]): Promise<readonly Piece[]> {
    return this.#hashing().checksum(intervals);
  }

  async close(): Promise<void> {
    try {
      await this.#stream?.close();
    } finally {
      await this.#handle.close();
    }
  }

  #hashing(): HashStream {
    this.#stream ??= this.#openStream();
    return this.#stream;
  }
}

class DiskIngest implements Ingest {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #stream: HashStream;
  readonly #blobPath: (digest: Digest) => string;
  hashed = 0;

  constructor(path: string, handle: FileHandle, stream: HashStream, blobPath: (digest: Digest) => string) {
    this.#path = path;
    this.#handle = handle;
    this.#stream = stream;
    this.#blobPath = blobPath;
  }

  async write(position: number, buffers: readonly Buffer[]): Promise<void> {
    await guarded('arriving content cannot be written', () => writeFully(this.#handle, buffers, position));
  }

  read(buffer: Buffer, position: number): Promise<number> {
    return readFully(this.#handle, buffer, position);
  }

  async hash(to: number): Promise<readonly Piece[]> {
    const pieces = await this.#stream.hash(to);
    this.hashed = to;
    return pieces;
  }

  digest(): Promise<{ hex: string; tail: Piece | undefined }> {
    return this.#stream.digest();
  }

  checksum(intervals: readonly { start: number; end: number }[]): Promise<readonly Piece[]> {
    return this.#stream.checksum(intervals);
  }

  async commit(digest: Digest, size: number): Promise<void> {
    const target = this.#blobPath(digest);
    await guarded('a blob cannot be stored', async () => {
      await this.#handle.truncate(size);
      await this.#handle.sync();
      await mkdir(dirname(target), { recursive: true });
      await rename(this.#path, target);
      await syncDirectory(dirname(target));
    });
  }

  async discard(): Promise<void> {
    await guarded('arriving content cannot be removed', () => rm(this.#path, { force: true }));
  }

  async close(): Promise<void> {
    try {
      await this.#stream.close();
    } finally {
      await this.#handle.close();
    }
  }
}

/** `sha256/ab/ab12…` → `sha256:ab12…`; anything else that lies there is not ours. */
function toDigest(algorithm: string, prefix: string, hex: string): Digest | undefined {
  const digest = `${algorithm}:${hex}`;
  return isDigest(digest) && hex.slice(0, 2) === prefix ? digest : undefined;
}
