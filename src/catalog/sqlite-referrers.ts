import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type { ReferrersCatalog, ReferrersRecord, RepositoryName } from './catalog.ts';
import type { RepositoryTable } from './sqlite-repositories.ts';

/** Bytes that all pages may take: clients decide what is asked for, so there has to be an end. */
const most = 64 * 1024 * 1024;
/** After so many bytes of new pages all are added up again. */
const often = 4 * 1024 * 1024;
/** Bytes of one page: what is larger is not remembered. */
const maxPage = 256 * 1024;
/** Bytes that a page takes about, beside its content. */
const overhead = 4096;

interface Row {
  content: string | null;
  next: string | null;
  checked_at: number;
}

/** Referrers, in the table `referrers`. */
export class ReferrersTable implements ReferrersCatalog {
  readonly #repositories: RepositoryTable;
  readonly #find: Statement<[number, string, string], Row>;
  readonly #leads: Statement<[number, string, string], { found: 1 }>;
  readonly #put: Statement<[number, string, string, string | null, string | null, number]>;
  readonly #sizes: Statement<[], { checked_at: number; length: number | null }>;
  readonly #forget: Statement<[number]>;
  /** Bytes that have come since all were added up; what came before this process is not known. */
  #grown = often;

  constructor(database: Database, repositories: RepositoryTable) {
    this.#repositories = repositories;
    this.#find = database.prepare(
      'SELECT content, next, checked_at FROM referrers WHERE repository = ? AND digest = ? AND page = ?',
    );
    this.#leads = database.prepare('SELECT 1 AS found FROM referrers WHERE repository = ? AND digest = ? AND next = ?');
    this.#put = database.prepare(
      `INSERT OR REPLACE INTO referrers (repository, digest, page, content, next, checked_at)
       VALUES (?, ?, ?, ?, ?, ?)`,
    );
    // Two scans: to find a row by its key, or to read what lies behind its content, would read the content of all.
    this.#sizes = database.prepare(
      `WITH sizes AS MATERIALIZED (
         SELECT repository, digest, page, octet_length(content) AS length FROM referrers NOT INDEXED)
       SELECT checked_at, length FROM referrers INDEXED BY referrers_by_age
       CROSS JOIN sizes USING (repository, digest, page) ORDER BY checked_at DESC`,
    );
    this.#forget = database.prepare('DELETE FROM referrers WHERE checked_at <= ?');
  }

  find(repository: RepositoryName, digest: Digest, page: string): ReferrersRecord | undefined {
    const id = this.#repositories.find(repository);
    const row = id === undefined ? undefined : this.#find.get(id, digest, page);
    return row && { content: row.content ?? undefined, next: row.next ?? undefined, checkedAt: row.checked_at };
  }

  put(repository: RepositoryName, digest: Digest, page: string, record: ReferrersRecord): void {
    const { content, next, checkedAt } = record;
    const bytes = Buffer.byteLength(content ?? '');
    if (bytes > maxPage) return;
    const id = this.#repositories.obtain(repository);
    if (page !== '' && this.#leads.get(id, digest, page) === undefined) return;
    this.#put.run(id, digest, page, content ?? null, next ?? null, checkedAt);
    this.#grown += overhead + bytes;
  }

  /** Forgets the oldest where all take too much, if enough have come. */
  prune(): void {
    if (this.#grown < often) return;
    this.#grown = 0;
    let bytes = 0;
    const excess = this.#sizes.all().find(({ length }) => {
      bytes += overhead + (length ?? 0);
      return bytes > most;
    });
    if (excess !== undefined) this.#forget.run(excess.checked_at);
  }
}
