import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type {
  BlobClaim,
  ManifestCatalog,
  ManifestContents,
  ManifestRecord,
  RepositoryName,
  Sighting,
} from './catalog.ts';
import { AbandonedManifests } from './sqlite-abandoned.ts';
import { EmptyManifests } from './sqlite-empty.ts';
import type { RepositoryTable } from './sqlite-repositories.ts';

interface Row {
  digest: Digest;
  media_type: string;
  bytes: Buffer;
}

type Kind = 'manifest' | 'blob';

/** Manifests and grants, in the tables `manifests`, `descriptors` and `grants`. */
export class ManifestTable implements ManifestCatalog {
  readonly #repositories: RepositoryTable;
  readonly #abandoned: AbandonedManifests;
  readonly #empty: EmptyManifests;
  readonly #owner: Statement<[string, string], { upstream: string; name: string }>;
  readonly #find: Statement<[string], Row>;
  /** Returns whether it is new. */
  readonly #add: (manifest: ManifestRecord, contents: ManifestContents) => boolean;
  readonly #grant: Statement<[number, Kind, string, number | null, number, number]>;
  readonly #granted: Statement<[number, Kind, string], { size: number | null }>;
  readonly #seen: Statement<[number, number], { at: number; login: number }>;
  readonly #named: Statement<[string, number], { least: number | null; most: number | null }>;

  constructor(database: Database, repositories: RepositoryTable) {
    this.#repositories = repositories;
    this.#abandoned = new AbandonedManifests(database);
    this.#empty = new EmptyManifests(database);
    this.#owner = database.prepare(
      `SELECT upstream, name FROM grants JOIN repositories ON id = grants.repository
       WHERE grants.digest = ? AND grants.kind = 'blob' OR grants.kind = 'manifest'
         AND grants.digest IN (SELECT manifest FROM descriptors WHERE digest = ? AND kind = 'blob')
       ORDER BY seen_at DESC LIMIT 1`,
    );
    this.#find = database.prepare('SELECT digest, media_type, bytes FROM manifests WHERE digest = ?');
    this.#add = prepareAdd(database);
    this.#grant = database.prepare(
      `INSERT INTO grants (repository, kind, digest, size, seen_at, login) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET size = coalesce(excluded.size, size), seen_at = excluded.seen_at, login = excluded.login`,
    );
    this.#granted = database.prepare('SELECT size FROM grants WHERE repository = ? AND kind = ? AND digest = ?');
    this.#seen = database.prepare(
      `SELECT seen_at AS at, login FROM grants WHERE repository = ?
       ORDER BY seen_at > ?, seen_at DESC, login DESC LIMIT 1`,
    );
    this.#named = database.prepare(
      `SELECT min(descriptors.size) AS least, max(descriptors.size) AS most FROM descriptors
       JOIN grants ON grants.digest = descriptors.manifest AND grants.kind = 'manifest'
       WHERE descriptors.digest = ? AND descriptors.kind = 'blob' AND grants.repository = ?`,
    );
  }

  find(digest: Digest): ManifestRecord | undefined {
    const row = this.#find.get(digest);
    return row && { digest: row.digest, mediaType: row.media_type, bytes: row.bytes };
  }

  add(manifest: ManifestRecord, contents: ManifestContents): void {
    if (this.#add(manifest, contents)) this.#empty.grow(manifest.bytes.length);
  }

  grant(repository: RepositoryName, digest: Digest, { at, login }: Sighting): void {
    this.#grant.run(this.#repositories.obtain(repository), 'manifest', digest, null, at, Number(login));
  }

  granted(repository: RepositoryName, digest: Digest): boolean {
    const id = this.#repositories.find(repository);
    return id !== undefined && this.#granted.get(id, 'manifest', digest) !== undefined;
  }

  seen(repository: RepositoryName, now: number): Sighting | undefined {
    const id = this.#repositories.find(repository);
    const row = id === undefined ? undefined : this.#seen.get(id, now);
    return row && { at: row.at, login: row.login === 1 };
  }

  grantBlob(repository: RepositoryName, digest: Digest, size: number | undefined, { at, login }: Sighting): void {
    this.#grant.run(this.#repositories.obtain(repository), 'blob', digest, size ?? null, at, Number(login));
  }

  owner(digest: Digest): RepositoryName | undefined {
    return this.#owner.get(digest, digest);
  }

  abandon(blob: Digest, kept: (digest: Digest) => boolean): Digest[] {
    return this.#abandoned.abandon(blob, kept);
  }

  /** Forgets the oldest of too many of which nothing else is here, but for those that are pinned. */
  prune(pinned: () => ReadonlySet<Digest>): void {
    const excess = this.#empty.look();
    if (excess.length === 0) return;
    const kept = pinned();
    this.#abandoned.drop(excess.filter((digest) => !kept.has(digest)));
  }

  claim(repository: RepositoryName, digest: Digest): BlobClaim | undefined {
    const id = this.#repositories.find(repository);
    if (id === undefined) return undefined;
    const { least, most } = this.#named.get(digest, id) ?? { least: null, most: null };
    // Manifests that disagree about the size say nothing about it.
    if (least !== null) return { size: least === most ? least : undefined };
    const grant = this.#granted.get(id, 'blob', digest);
    return grant && { size: grant.size ?? undefined };
  }
}

function prepareAdd(database: Database): (manifest: ManifestRecord, contents: ManifestContents) => boolean {
  const add = database.prepare<[string, string, Buffer]>(
    'INSERT OR IGNORE INTO manifests (digest, media_type, bytes) VALUES (?, ?, ?)',
  );
  const name = database.prepare<[string, number, Kind, string, number, string]>(
    'INSERT OR IGNORE INTO descriptors (manifest, position, kind, digest, size, media_type) VALUES (?, ?, ?, ?, ?, ?)',
  );
  return database.transaction((manifest: ManifestRecord, { manifests, blobs }: ManifestContents): boolean => {
    if (add.run(manifest.digest, manifest.mediaType, manifest.bytes).changes === 0) return false;
    for (const [kind, descriptors] of [
      ['manifest', manifests],
      ['blob', blobs],
    ] as const) {
      descriptors.forEach(({ digest, size, mediaType }, position) => {
        name.run(manifest.digest, position, kind, digest, size, mediaType);
      });
    }
    return true;
  });
}
