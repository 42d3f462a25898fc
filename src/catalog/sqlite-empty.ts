import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';

interface Row {
  rowid: number;
  digest: Digest;
  length: number;
  empty: number;
  /** NULL where no upstream has spoken of it. */
  seen_at: number | null;
}

/** Bytes that manifests of which nothing else is here may take: about ten thousand of them. */
const most = 64 * 1024 * 1024;
/** After so many bytes of new manifests all are looked through again. */
const often = 4 * 1024 * 1024;
/** Manifests that are looked at in one go: all of them would keep the thread for too long. */
const slice = 500;

/** Bytes that a manifest takes about, with what is noted of it. */
const bytesOf = (length: number) => length + 4096;

/** Manifests of which nothing else is here: nobody has asked for what they name, or they name nothing. */
export class EmptyManifests {
  readonly #slice: Statement<[number, number], Row>;
  #found: Row[] = [];
  #last = 0;
  /** Bytes that have come since the last round; what came before this process is not known. */
  #grown = often;

  constructor(database: Database) {
    this.#slice = database.prepare(
      `SELECT rowid, digest, length(bytes) AS length, NOT EXISTS (
         SELECT 1 FROM descriptors AS d WHERE d.manifest = manifests.digest AND CASE d.kind
           WHEN 'manifest' THEN EXISTS (SELECT 1 FROM manifests AS m WHERE m.digest = d.digest)
           ELSE EXISTS (SELECT 1 FROM blobs AS b WHERE b.digest = d.digest)
             OR EXISTS (SELECT 1 FROM partials AS p WHERE p.digest = d.digest)
         END) AS empty,
         (SELECT max(seen_at) FROM grants AS g WHERE g.digest = manifests.digest AND g.kind = 'manifest') AS seen_at
       FROM manifests WHERE rowid > ? ORDER BY rowid LIMIT ?`,
    );
  }

  /** A manifest of so many bytes has come. */
  grow(length: number): void {
    this.#grown += bytesOf(length);
  }

  /**
   * Looks at some more, if enough have come. At the end of a round, returns those of which an upstream spoke longest ago,
   * where all take too much. They were empty when they were looked at.
   */
  look(): Digest[] {
    if (this.#last === 0 && this.#grown < often) return [];
    if (this.#last === 0) this.#grown = 0;
    const rows = this.#slice.all(this.#last, slice);
    this.#found.push(...rows.filter(({ empty }) => empty === 1));
    this.#last = rows.length < slice ? 0 : (rows.at(-1)?.rowid ?? 0);
    return this.#last === 0 ? this.#end() : [];
  }

  #end(): Digest[] {
    const found = this.#found.toSorted((a, b) => (b.seen_at ?? 0) - (a.seen_at ?? 0));
    this.#found = [];
    let bytes = 0;
    const excess = found.filter(({ length }) => {
      bytes += bytesOf(length);
      return bytes > most;
    });
    return excess.map(({ digest }) => digest);
  }
}
