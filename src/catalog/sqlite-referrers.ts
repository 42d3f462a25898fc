import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type { ReferrersCatalog, ReferrersRecord, RepositoryName } from './catalog.ts';
import type { RepositoryTable } from './sqlite-repositories.ts';

/** Pages that are remembered: clients decide what is asked for, so there has to be an end. */
const maxPages = 20_000;
/** Bytes of one page: what is larger is not remembered. */
const maxPage = 256 * 1024;

interface Row {
  content: string | null;
  next: string | null;
  checked_at: number;
}

/** Referrers, in the table `referrers`. */
export class ReferrersTable implements ReferrersCatalog {
  readonly #repositories: RepositoryTable;
  readonly #find: Statement<[number, string, string], Row>;
  readonly #put: Statement<[number, string, string, string | null, string | null, number]>;
  readonly #prune: Statement<[number]>;
  #grown = false;

  constructor(database: Database, repositories: RepositoryTable) {
    this.#repositories = repositories;
    this.#find = database.prepare(
      'SELECT content, next, checked_at FROM referrers WHERE repository = ? AND digest = ? AND page = ?',
    );
    this.#put = database.prepare(
      `INSERT OR REPLACE INTO referrers (repository, digest, page, content, next, checked_at)
       VALUES (?, ?, ?, ?, ?, ?)`,
    );
    this.#prune = database.prepare(
      `DELETE FROM referrers WHERE checked_at <=
       (SELECT checked_at FROM referrers ORDER BY checked_at DESC LIMIT 1 OFFSET ?)`,
    );
  }

  find(repository: RepositoryName, digest: Digest, page: string): ReferrersRecord | undefined {
    const id = this.#repositories.find(repository);
    const row = id === undefined ? undefined : this.#find.get(id, digest, page);
    return row && { content: row.content ?? undefined, next: row.next ?? undefined, checkedAt: row.checked_at };
  }

  put(repository: RepositoryName, digest: Digest, page: string, record: ReferrersRecord): void {
    const { content, next, checkedAt } = record;
    if ((content?.length ?? 0) > maxPage) return;
    const id = this.#repositories.obtain(repository);
    this.#put.run(id, digest, page, content ?? null, next ?? null, checkedAt);
    this.#grown = true;
  }

  /** Forgets the oldest of too many. */
  prune(): void {
    if (this.#grown) this.#prune.run(maxPages);
    this.#grown = false;
  }
}
