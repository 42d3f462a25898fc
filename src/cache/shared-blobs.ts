import { fill } from '../async/fill.ts';
import type { Digest } from '../oci/digest.ts';
import type { StorageDriver, StoredBlob } from '../storage/driver.ts';
import { type Recent, sharedFrom } from './recent.ts';
import type { Uses } from './uses.ts';

/** One stored blob that is open. */
interface Shared {
  readonly digest: Digest;
  readonly blob: Promise<StoredBlob | undefined>;
  /** What its blocks are remembered under. */
  readonly name: number;
  /** Lets it be evicted. */
  readonly letGo: () => void;
  users: number;
}

/** Stored blobs that are being read: each is open once, and in use, however many read it. */
export class SharedBlobs {
  readonly #storage: Pick<StorageDriver, 'open'>;
  readonly #uses: Uses;
  readonly #recent: Recent;
  readonly #open = new Map<Digest, Shared>();

  constructor(storage: Pick<StorageDriver, 'open'>, uses: Uses, recent: Recent) {
    this.#storage = storage;
    this.#uses = uses;
    this.#recent = recent;
  }

  /** As `StorageDriver.open`. */
  async open(digest: Digest): Promise<StoredBlob | undefined> {
    const shared = this.#open.get(digest) ?? this.#begin(digest);
    shared.users++;
    const blob = await shared.blob.catch(async (error: unknown) => {
      await this.#leave(shared);
      throw error;
    });
    if (blob !== undefined) return this.#handle(shared, blob);
    await this.#leave(shared);
    return undefined;
  }

  /** What is stored is another one now, or none: whoever reads goes on, and nobody joins them. */
  forget(digest: Digest): void {
    this.#open.delete(digest);
  }

  #begin(digest: Digest): Shared {
    const letGo = this.#uses.hold(digest);
    const shared = { digest, blob: this.#storage.open(digest), name: this.#recent.add(), letGo, users: 0 };
    this.#open.set(digest, shared);
    return shared;
  }

  #handle(shared: Shared, blob: StoredBlob): StoredBlob {
    let isOpen = true;
    return {
      size: blob.size,
      read: (buffer, position) => this.#read(shared, blob, buffer, position),
      hash: (to) => blob.hash(to),
      digest: () => blob.digest(),
      checksum: (intervals) => blob.checksum(intervals),
      close: async () => {
        if (!isOpen) return;
        isOpen = false;
        await this.#leave(shared);
      },
    };
  }

  #read({ name, users }: Shared, blob: StoredBlob, buffer: Buffer, position: number): Promise<number> {
    if (users < sharedFrom) return blob.read(buffer, position);
    return fill(buffer, (rest, filled) => this.#recent.read(name, blob, rest, position + filled));
  }

  async #leave(shared: Shared): Promise<void> {
    shared.users--;
    if (shared.users > 0) return;
    if (this.#open.get(shared.digest) === shared) this.#open.delete(shared.digest);
    this.#recent.forget(shared.name);
    try {
      await (await shared.blob.catch(() => undefined))?.close();
    } finally {
      shared.letGo();
    }
  }
}
