import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type { PartialCatalog, PartialRecord, PieceRecord } from './catalog.ts';

const chunk = 1024 * 1024;

interface Row {
  name: string;
  upstream: string;
  digest: Digest;
  size: number;
  used_at: number;
}

/** Unfinished content, in the tables `partials` and `pieces`. */
export class PartialTable implements PartialCatalog {
  readonly #find: Statement<[string, string, number], Row>;
  readonly #list: Statement<[], Row>;
  readonly #put: Statement<[string, string, string, number, number]>;
  readonly #remove: Statement<[string]>;
  readonly #pieces: Statement<[string], PieceRecord>;
  readonly #bytes: Statement<[string], { bytes: number }>;
  readonly #measure: Statement<[number, string]>;
  readonly #record: (name: string, chunks: readonly number[], pieces: readonly PieceRecord[]) => void;

  constructor(database: Database) {
    this.#find = database.prepare('SELECT * FROM partials WHERE upstream = ? AND digest = ? AND size = ?');
    this.#list = database.prepare('SELECT * FROM partials');
    this.#put = database.prepare(
      `INSERT INTO partials (name, upstream, digest, size, used_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET used_at = excluded.used_at`,
    );
    this.#remove = database.prepare('DELETE FROM partials WHERE name = ?');
    this.#pieces = database.prepare('SELECT start, end, crc FROM pieces WHERE partial = ? ORDER BY start');
    this.#bytes = database.prepare('SELECT bytes FROM partials WHERE name = ?');
    this.#measure = database.prepare(
      `UPDATE partials SET bytes =
         max((SELECT coalesce(sum(end - start), 0) FROM pieces WHERE partial = name), min(?, size))
       WHERE name = ?`,
    );
    // What was taken already and is recorded only now would count twice.
    const clamp = database.prepare<[string]>('UPDATE partials SET bytes = size WHERE name = ? AND bytes > size');
    const forget = database.prepare<[string, number, number]>(
      'DELETE FROM pieces WHERE partial = ? AND start >= ? AND start < ?',
    );
    const add = database.prepare<[string, number, number, number]>(
      'INSERT INTO pieces (partial, start, end, crc) VALUES (?, ?, ?, ?)',
    );
    this.#record = database.transaction(
      (name: string, chunks: readonly number[], pieces: readonly PieceRecord[]): void => {
        for (const index of chunks) forget.run(name, index * chunk, (index + 1) * chunk);
        for (const { start, end, crc } of pieces) add.run(name, start, end, crc);
        clamp.run(name);
      },
    );
  }

  find(upstream: string, digest: Digest, size: number): PartialRecord | undefined {
    const row = this.#find.get(upstream, digest, size);
    return row && toRecord(row);
  }

  list(): PartialRecord[] {
    return this.#list.all().map(toRecord);
  }

  put({ name, upstream, digest, size, usedAt }: PartialRecord): void {
    this.#put.run(name, upstream, digest, size, usedAt);
  }

  record(name: string, chunks: readonly number[], pieces: readonly PieceRecord[]): void {
    this.#record(name, chunks, pieces);
  }

  pieces(name: string): PieceRecord[] {
    return this.#pieces.all(name);
  }

  bytes(name: string): number {
    return this.#bytes.get(name)?.bytes ?? 0;
  }

  measure(name: string, bytes: number): void {
    this.#measure.run(bytes, name);
  }

  remove(name: string): void {
    this.#remove.run(name);
  }
}

function toRecord({ name, upstream, digest, size, used_at }: Row): PartialRecord {
  return { name, upstream, digest, size, usedAt: used_at };
}
