import type { Database, Statement } from 'better-sqlite3';
import { LRUCache } from 'lru-cache';
import type { RepositoryName } from './catalog.ts';

/** Numbers for repositories. */
export class RepositoryTable {
  readonly #ids = new LRUCache<string, number>({ max: 10_000 });
  readonly #find: Statement<[string, string], { id: number }>;
  readonly #add: Statement<[string, string]>;

  constructor(database: Database) {
    this.#find = database.prepare('SELECT id FROM repositories WHERE upstream = ? AND name = ?');
    this.#add = database.prepare('INSERT INTO repositories (upstream, name) VALUES (?, ?)');
  }

  /** The number of a repository that was seen before. */
  find({ upstream, name }: RepositoryName): number | undefined {
    const key = `${upstream} ${name}`;
    const known = this.#ids.get(key) ?? this.#find.get(upstream, name)?.id;
    if (known !== undefined) this.#ids.set(key, known);
    return known;
  }

  /** The number of a repository, a new one when it was never seen. */
  obtain(repository: RepositoryName): number {
    const known = this.find(repository);
    if (known !== undefined) return known;
    return Number(this.#add.run(repository.upstream, repository.name).lastInsertRowid);
  }
}
