import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName, TagCatalog, TagRecord } from './catalog.ts';
import type { RepositoryTable } from './sqlite-repositories.ts';

/** Tags that are remembered as absent: clients decide what is asked for, so there has to be an end. */
const maxAbsent = 20_000;

/** Tags, in the table `tags`. */
export class TagTable implements TagCatalog {
  readonly #repositories: RepositoryTable;
  readonly #find: Statement<[number, string], { digest: Digest | null; checked_at: number }>;
  readonly #put: Statement<[number, string, string | null, number]>;
  readonly #prune: Statement<[number]>;
  #grown = false;

  constructor(database: Database, repositories: RepositoryTable) {
    this.#repositories = repositories;
    this.#find = database.prepare('SELECT digest, checked_at FROM tags WHERE repository = ? AND tag = ?');
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO tags (repository, tag, digest, checked_at) VALUES (?, ?, ?, ?)',
    );
    this.#prune = database.prepare(
      `DELETE FROM tags WHERE digest IS NULL AND checked_at <=
       (SELECT checked_at FROM tags WHERE digest IS NULL ORDER BY checked_at DESC LIMIT 1 OFFSET ?)`,
    );
  }

  find(repository: RepositoryName, tag: string): TagRecord | undefined {
    const id = this.#repositories.find(repository);
    const row = id === undefined ? undefined : this.#find.get(id, tag);
    return row && { digest: row.digest ?? undefined, checkedAt: row.checked_at };
  }

  put(repository: RepositoryName, tag: string, { digest, checkedAt }: TagRecord): void {
    this.#put.run(this.#repositories.obtain(repository), tag, digest ?? null, checkedAt);
    this.#grown ||= digest === undefined;
  }

  /** Forgets the oldest of too many that are absent. */
  prune(): void {
    if (this.#grown) this.#prune.run(maxAbsent);
    this.#grown = false;
  }
}
