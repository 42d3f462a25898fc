import type { Database, Statement } from 'better-sqlite3';
import { LRUCache } from 'lru-cache';
import type { RepositoryName } from './catalog.ts';

/** Numbers for repositories. */
export class RepositoryTable {
  readonly #ids = new LRUCache<string, number>({ maxSize: 10_000, sizeCalculation: () => 1 });
  readonly #find: Statement<[string, string], { id: number }>;
  readonly #add: Statement<[string, string]>;
  readonly #prune: Statement<[]>;
  #grown = false;

  constructor(database: Database) {
    this.#find = database.prepare('SELECT id FROM repositories WHERE upstream = ? AND name = ?');
    this.#add = database.prepare('INSERT INTO repositories (upstream, name) VALUES (?, ?)');
    this.#prune = database.prepare(
      `DELETE FROM repositories WHERE NOT EXISTS (SELECT 1 FROM grants WHERE repository = id)
         AND NOT EXISTS (SELECT 1 FROM tags WHERE repository = id)
         AND NOT EXISTS (SELECT 1 FROM referrers WHERE repository = id)
         AND NOT EXISTS (SELECT 1 FROM pins WHERE repository = id)`,
    );
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
    this.#grown = true;
    return Number(this.#add.run(repository.upstream, repository.name).lastInsertRowid);
  }

  /** Forgets those of which nothing is known, once there are new ones. Their numbers may be given to others. */
  prune(): void {
    if (!this.#grown) return;
    this.#grown = false;
    if (this.#prune.run().changes > 0) this.#ids.clear();
  }
}
