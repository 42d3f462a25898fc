import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { SqliteCatalog } from '../../src/catalog/sqlite.ts';

/** Where the catalog and the disk do not agree; all empty when they do. */
export interface Disagreements {
  /** Stored blobs whose bytes are not what their name says. */
  readonly wrong: readonly string[];
  /** Recorded, but not there. */
  readonly missing: readonly string[];
  /** There, but not recorded: stored or unfinished. */
  readonly orphans: readonly string[];
}

/** Compares what a closed data directory records with what lies in it, byte by byte. */
export async function disagreements(dataDir: string): Promise<Disagreements> {
  const stored = filesBelow(join(dataDir, 'blobs'));
  const unfinished = filesBelow(join(dataDir, 'ingest')).map((path) => basename(path));
  const catalog = new SqliteCatalog(join(dataDir, 'catalog.db'));
  const recorded = new Set<string>(catalog.blobs.digests().map((digest) => digest.replace(/^.*:/, '')));
  const partials = new Set(catalog.partials.list().map(({ name }) => name));
  catalog.close();
  const names = new Set(stored.map((path) => basename(path)));
  return {
    wrong: stored.filter((path) => createHash('sha256').update(readFileSync(path)).digest('hex') !== basename(path)),
    missing: [
      ...[...recorded].filter((name) => !names.has(name)),
      ...[...partials].filter((name) => !unfinished.includes(name)),
    ],
    orphans: [...[...names].filter((name) => !recorded.has(name)), ...unfinished.filter((name) => !partials.has(name))],
  };
}

/** Bytes that the contents of a data directory take on the disk: sparse files count for what they hold. */
export function diskBytes(dataDir: string): number {
  return ['blobs', 'ingest']
    .flatMap((name) => filesBelow(join(dataDir, name)))
    .reduce((sum, path) => sum + sizeOf(path), 0);
}

/** What is removed meanwhile takes nothing. */
function sizeOf(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
}

/** Directories may not be there yet. */
function filesBelow(path: string): string[] {
  if (!existsSync(path)) return [];
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
