import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName, TagCatalog, TagRecord } from './catalog.ts';
import type { RepositoryTable } from './sqlite-repositories.ts';

/** Tags, in the table `tags`. */
export class TagTable implements TagCatalog {
  readonly #repositories: RepositoryTable;
  readonly #find: Statement<[number, string], { digest: Digest | null; checked_at: number }>;
  readonly #put: Statement<[number, string, string | null, number]>;

  constructor(database: Database, repositories: RepositoryTable) {
    this.#repositories = repositories;
    this.#find = database.prepare('SELECT digest, checked_at FROM tags WHERE repository = ? AND tag = ?');
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO tags (repository, tag, digest, checked_at) VALUES (?, ?, ?, ?)',
    );
  }

  find(repository: RepositoryName, tag: string): TagRecord | undefined {
    const id = this.#repositories.find(repository);
    const row = id === undefined ? undefined : this.#find.get(id, tag);
    return row && { digest: row.digest ?? undefined, checkedAt: row.checked_at };
  }

  put(repository: RepositoryName, tag: string, { digest, checkedAt }: TagRecord): void {
    this.#put.run(this.#repositories.obtain(repository), tag, digest ?? null, checkedAt);
  }
}
