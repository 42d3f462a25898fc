import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type { Evictable, UsageCatalog } from './catalog.ts';

type Row = { bytes: number; used_at: number } & ({ kind: 'blob'; id: Digest } | { kind: 'partial'; id: string });

const held = `SELECT coalesce(sum(end - start), 0) FROM pieces WHERE partial = name`;

/** Blobs and partials together, by use. */
export class UsageView implements UsageCatalog {
  readonly #bytes: Statement<[], { bytes: number }>;
  readonly #oldest: Statement<[number], Row>;

  constructor(database: Database) {
    this.#bytes = database.prepare(
      `SELECT (SELECT coalesce(sum(size), 0) FROM blobs) + (SELECT coalesce(sum(end - start), 0) FROM pieces) AS bytes`,
    );
    this.#oldest = database.prepare(
      `SELECT 'blob' AS kind, digest AS id, size AS bytes, used_at FROM blobs
       UNION ALL SELECT 'partial', name, (${held}), used_at FROM partials
       ORDER BY used_at LIMIT ?`,
    );
  }

  bytes(): number {
    return this.#bytes.get()?.bytes ?? 0;
  }

  oldest(limit: number): Evictable[] {
    return this.#oldest.all(limit).map((row) => {
      const { bytes, used_at: usedAt } = row;
      if (row.kind === 'partial') return { kind: row.kind, name: row.id, bytes, usedAt };
      return { kind: row.kind, digest: row.id, bytes, usedAt };
    });
  }
}
