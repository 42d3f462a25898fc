import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type { Evictable, UsageCatalog } from './catalog.ts';

interface Row {
  digest: Digest;
  /** NULL for a blob. */
  name: string | null;
  bytes: number;
  used_at: number;
}

/** Blobs and partials together, by use. */
export class UsageView implements UsageCatalog {
  readonly #bytes: Statement<[], { bytes: number }>;
  readonly #latest: Statement<[], { at: number | null }>;
  readonly #oldest: Statement<[number], Row>;

  constructor(database: Database) {
    this.#bytes = database.prepare('SELECT bytes FROM totals');
    this.#latest = database.prepare(
      'SELECT max(coalesce((SELECT max(used_at) FROM blobs), 0), coalesce((SELECT max(used_at) FROM partials), 0)) AS at',
    );
    this.#oldest = database.prepare(
      `SELECT digest, NULL AS name, size AS bytes, used_at FROM blobs
       UNION ALL SELECT digest, name, bytes, used_at FROM partials
       ORDER BY used_at LIMIT ?`,
    );
  }

  bytes(): number {
    return this.#bytes.get()?.bytes ?? 0;
  }

  latest(): number {
    return this.#latest.get()?.at ?? 0;
  }

  oldest(limit: number): Evictable[] {
    return this.#oldest.all(limit).map(({ digest, name, bytes, used_at: usedAt }) => {
      return { digest, name: name ?? undefined, bytes, usedAt };
    });
  }
}
