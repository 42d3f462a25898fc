import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type { Pin, PinCatalog, RepositoryName } from './catalog.ts';
import type { RepositoryTable } from './sqlite-repositories.ts';

/** Images that stay, in the table `pins`. */
export class PinTable implements PinCatalog {
  readonly #repositories: RepositoryTable;
  readonly #add: Statement<[number, string]>;
  readonly #remove: Statement<[number, string]>;
  readonly #list: Statement<[], { upstream: string; name: string; reference: string }>;
  readonly #contents: Statement<[], { digest: Digest }>;

  constructor(database: Database, repositories: RepositoryTable) {
    this.#repositories = repositories;
    this.#add = database.prepare('INSERT OR IGNORE INTO pins (repository, reference) VALUES (?, ?)');
    this.#remove = database.prepare('DELETE FROM pins WHERE repository = ? AND reference = ?');
    this.#list = database.prepare(
      'SELECT upstream, name, reference FROM pins JOIN repositories ON id = repository ORDER BY upstream, name, reference',
    );
    this.#contents = database.prepare(
      `WITH RECURSIVE pinned (digest) AS (
         SELECT coalesce(tags.digest, pins.reference) FROM pins
         LEFT JOIN tags ON tags.repository = pins.repository AND tags.tag = pins.reference
         UNION SELECT descriptors.digest FROM descriptors JOIN pinned ON descriptors.manifest = pinned.digest
       ) SELECT digest FROM pinned`,
    );
  }

  add({ repository, reference }: Pin): void {
    this.#add.run(this.#repositories.obtain(repository), reference);
  }

  remove({ repository, reference }: Pin): boolean {
    const id = this.#repositories.find(repository);
    return id !== undefined && this.#remove.run(id, reference).changes > 0;
  }

  list(): Pin[] {
    return this.#list.all().map(({ upstream, name, reference }) => {
      const repository: RepositoryName = { upstream, name };
      return { repository, reference };
    });
  }

  contents(): ReadonlySet<Digest> {
    return new Set(this.#contents.all().map(({ digest }) => digest));
  }
}
