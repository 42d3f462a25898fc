import Database from 'better-sqlite3';
import { type Catalog, CatalogError } from './catalog.ts';
import { migrate } from './migrations.ts';
import { BlobTable } from './sqlite-blobs.ts';
import { ImageView } from './sqlite-images.ts';
import { ManifestTable } from './sqlite-manifests.ts';
import { PartialTable } from './sqlite-partials.ts';
import { PinTable } from './sqlite-pins.ts';
import { ReferrersTable } from './sqlite-referrers.ts';
import { RepositoryTable } from './sqlite-repositories.ts';
import { TagTable } from './sqlite-tags.ts';
import { UsageView } from './sqlite-usage.ts';

/** The catalog in one SQLite file, which this process has for itself. */
export class SqliteCatalog implements Catalog {
  readonly #database: Database.Database;
  readonly #repositories: RepositoryTable;
  readonly blobs: BlobTable;
  readonly partials: PartialTable;
  readonly usage: UsageView;
  readonly manifests: ManifestTable;
  readonly tags: TagTable;
  readonly referrers: ReferrersTable;
  readonly pins: PinTable;
  readonly images: ImageView;

  /** Opens or makes the file. @throws CatalogError when another process has it, or it cannot be used. */
  constructor(path: string) {
    this.#database = openExclusively(path);
    const repositories = new RepositoryTable(this.#database);
    this.#repositories = repositories;
    this.blobs = new BlobTable(this.#database);
    this.partials = new PartialTable(this.#database);
    this.usage = new UsageView(this.#database);
    this.manifests = new ManifestTable(this.#database, repositories);
    this.tags = new TagTable(this.#database, repositories);
    this.referrers = new ReferrersTable(this.#database, repositories);
    this.pins = new PinTable(this.#database, repositories);
    this.images = new ImageView(this.#database, repositories);
  }

  flush(): void {
    this.blobs.flush();
    this.referrers.prune();
    this.tags.prune();
    this.manifests.prune(() => this.pins.contents());
    this.#repositories.prune();
  }

  close(): void {
    try {
      this.flush();
    } catch {
      // On a full disk, what is lost is when things were used last.
    }
    this.#database.close();
  }
}

function openExclusively(path: string): Database.Database {
  const database = openFile(path);
  try {
    // Exclusive from the first read on: a second process on the same directory finds out at once.
    database.pragma('locking_mode = EXCLUSIVE');
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = NORMAL');
    database.pragma('foreign_keys = ON');
    migrate(database);
    return database;
  } catch (cause) {
    database.close();
    if (cause instanceof CatalogError) throw cause;
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    if (code.startsWith('SQLITE_BUSY')) {
      throw new CatalogError(`another process uses ${path}: end it, or choose another data directory`, { cause });
    }
    throw new CatalogError(`${path} cannot be used (${code}): restore it, or move it away to start empty`, { cause });
  }
}

function openFile(path: string): Database.Database {
  try {
    return new Database(path, { timeout: 0 });
  } catch (cause) {
    throw new CatalogError(`${path} cannot be opened: is the directory there and writable?`, { cause });
  }
}
