import type { Database } from 'better-sqlite3';
import { CatalogError } from './catalog.ts';

/** Each brings the catalog from the version that is its index to the next. Never edited once released. */
export const migrations = [
  `
  -- Verified content in storage. checksums: the CRC-32 of each 1 MiB chunk, 4 bytes each, little-endian.
  CREATE TABLE blobs (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    checksums BLOB NOT NULL
  );
  CREATE INDEX blobs_by_use ON blobs (used_at, digest, size);

  -- Unfinished content in storage, and the runs of bytes that it holds: no run crosses a chunk.
  CREATE TABLE partials (
    name TEXT PRIMARY KEY,
    upstream TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    UNIQUE (upstream, digest, size)
  );
  CREATE TABLE pieces (
    partial TEXT NOT NULL REFERENCES partials (name) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (partial, start)
  ) WITHOUT ROWID;

  -- Manifests, byte for byte, and what they name: kind is 'manifest' or 'blob'.
  CREATE TABLE manifests (
    digest TEXT PRIMARY KEY,
    media_type TEXT NOT NULL,
    bytes BLOB NOT NULL
  );
  CREATE TABLE descriptors (
    manifest TEXT NOT NULL REFERENCES manifests (digest) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (manifest, kind, position)
  ) WITHOUT ROWID;
  CREATE INDEX descriptors_by_digest ON descriptors (digest, kind, manifest, size);

  CREATE TABLE repositories (
    id INTEGER PRIMARY KEY,
    upstream TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (upstream, name)
  );

  -- Which repository the upstream said has which content. size is NULL where it did not say.
  CREATE TABLE grants (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (repository, kind, digest)
  ) WITHOUT ROWID;

  -- What a tag was when it was last asked for. digest is NULL where there was no such tag.
  CREATE TABLE tags (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    tag TEXT NOT NULL,
    digest TEXT,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (repository, tag)
  ) WITHOUT ROWID;
  `,
  `
  -- What referred to a manifest when that was last asked for, page by page. content is the JSON of an index, NULL where there was nothing.
  CREATE TABLE referrers (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    digest TEXT NOT NULL,
    page TEXT NOT NULL,
    content TEXT,
    next TEXT,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (repository, digest, page)
  ) WITHOUT ROWID;
  CREATE INDEX referrers_by_age ON referrers (checked_at);
  `,
  `
  -- How much is kept, kept up to date: adding up a hundred thousand blobs takes longer than answering a request.
  CREATE TABLE totals (bytes INTEGER NOT NULL);
  ALTER TABLE partials ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
  UPDATE partials SET bytes = (SELECT coalesce(sum(end - start), 0) FROM pieces WHERE partial = name);
  INSERT INTO totals SELECT (SELECT coalesce(sum(size), 0) FROM blobs) + (SELECT coalesce(sum(bytes), 0) FROM partials);
  CREATE TRIGGER blob_added AFTER INSERT ON blobs BEGIN UPDATE totals SET bytes = bytes + new.size; END;
  CREATE TRIGGER blob_changed AFTER UPDATE OF size ON blobs BEGIN UPDATE totals SET bytes = bytes + new.size - old.size; END;
  CREATE TRIGGER blob_removed AFTER DELETE ON blobs BEGIN UPDATE totals SET bytes = bytes - old.size; END;
  CREATE TRIGGER piece_added AFTER INSERT ON pieces BEGIN
    UPDATE partials SET bytes = bytes + new.end - new.start WHERE name = new.partial;
  END;
  CREATE TRIGGER piece_removed AFTER DELETE ON pieces BEGIN
    UPDATE partials SET bytes = bytes - (old.end - old.start) WHERE name = old.partial;
  END;
  CREATE TRIGGER partial_changed AFTER UPDATE OF bytes ON partials BEGIN
    UPDATE totals SET bytes = bytes + new.bytes - old.bytes;
  END;
  CREATE TRIGGER partial_removed AFTER DELETE ON partials BEGIN UPDATE totals SET bytes = bytes - old.bytes; END;
  CREATE INDEX partials_by_use ON partials (used_at, name);

  -- For what goes with its last blob.
  CREATE INDEX grants_by_digest ON grants (digest, kind);
  CREATE INDEX tags_by_digest ON tags (digest);

  -- Images that stay: a tag, or a digest, of a repository.
  CREATE TABLE pins (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    reference TEXT NOT NULL,
    PRIMARY KEY (repository, reference)
  ) WITHOUT ROWID;
  `,
  `
  -- Whether the upstream said so to somebody with a login: 0 or 1. Of what is known already that is not known, so it counts as if.
  ALTER TABLE grants ADD COLUMN login INTEGER NOT NULL DEFAULT 1;
  `,
  `
  -- For those that are forgotten.
  CREATE INDEX absent_tags_by_age ON tags (checked_at) WHERE digest IS NULL;
  `,
] as const;

/**
 * Brings a catalog of any earlier version to this one, in one transaction.
 * @throws CatalogError when a newer version wrote it.
 */
export function migrate(database: Database): void {
  const version = Number(database.pragma('user_version', { simple: true }));
  if (version > migrations.length) {
    throw new CatalogError(
      `the catalog has version ${version}, this is version ${migrations.length}: run the newer weir, or another data directory`,
    );
  }
  database.transaction(() => {
    for (const migration of migrations.slice(version)) database.exec(migration);
    database.pragma(`user_version = ${migrations.length}`);
  })();
}
