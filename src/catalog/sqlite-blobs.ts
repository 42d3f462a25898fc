import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type { BlobCatalog, BlobRecord } from './catalog.ts';

interface Row {
  digest: Digest;
  size: number;
  used_at: number;
}

/** So many uses wait for one transaction at most. */
const maxBuffered = 1000;

/** Verified content, in the table `blobs`. */
export class BlobTable implements BlobCatalog {
  readonly #find: Statement<[string], Row>;
  readonly #checksums: Statement<[string], { checksums: Buffer }>;
  readonly #add: Statement<[string, number, number, Buffer]>;
  readonly #remove: Statement<[string]>;
  readonly #digests: Statement<[], { digest: Digest }>;
  readonly #touchAll: (uses: ReadonlyMap<Digest, number>) => void;
  readonly #uses = new Map<Digest, number>();
  #removals = 0;

  constructor(database: Database) {
    this.#find = database.prepare('SELECT digest, size, used_at FROM blobs WHERE digest = ?');
    this.#checksums = database.prepare('SELECT checksums FROM blobs WHERE digest = ?');
    this.#add = database.prepare(
      `INSERT INTO blobs (digest, size, used_at, checksums) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET size = excluded.size, used_at = excluded.used_at, checksums = excluded.checksums`,
    );
    this.#remove = database.prepare('DELETE FROM blobs WHERE digest = ?');
    this.#digests = database.prepare('SELECT digest FROM blobs');
    const touch = database.prepare<[number, string]>('UPDATE blobs SET used_at = ? WHERE digest = ?');
    this.#touchAll = database.transaction((uses: ReadonlyMap<Digest, number>) => {
      for (const [digest, usedAt] of uses) touch.run(usedAt, digest);
    });
  }

  find(digest: Digest): BlobRecord | undefined {
    const row = this.#find.get(digest);
    return row && { digest: row.digest, size: row.size, usedAt: this.#uses.get(digest) ?? row.used_at };
  }

  checksums(digest: Digest): Uint32Array {
    const bytes = this.#checksums.get(digest)?.checksums ?? Buffer.alloc(0);
    return Uint32Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32LE(index * 4));
  }

  add({ digest, size, usedAt }: BlobRecord, checksums: Uint32Array): void {
    const bytes = Buffer.alloc(checksums.length * 4);
    for (const [index, crc] of checksums.entries()) bytes.writeUInt32LE(crc, index * 4);
    this.#add.run(digest, size, usedAt, bytes);
  }

  get removals(): number {
    return this.#removals;
  }

  remove(digest: Digest): void {
    this.#removals++;
    this.#uses.delete(digest);
    this.#remove.run(digest);
  }

  touch(digest: Digest, usedAt: number): void {
    this.#uses.set(digest, usedAt);
    if (this.#uses.size >= maxBuffered) this.flush();
  }

  digests(): Digest[] {
    return this.#digests.all().map(({ digest }) => digest);
  }

  /** Writes the uses that were only remembered. */
  flush(): void {
    if (this.#uses.size === 0) return;
    this.#touchAll(this.#uses);
    this.#uses.clear();
  }
}
