import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';
import type { ImageCatalog, ImageContents, ImageRecord, RemovedImage } from './catalog.ts';
import type { RepositoryTable } from './sqlite-repositories.ts';

interface Row {
  digest: Digest;
}

/** A manifest and all that it names, in `tree`. */
const tree = `WITH RECURSIVE tree (digest) AS (
  SELECT ? UNION SELECT d.digest FROM descriptors AS d JOIN tree ON d.manifest = tree.digest WHERE d.kind = 'manifest'
)`;

/** Images: tags, and what else repositories were granted that no other manifest names. */
export class ImageView implements ImageCatalog {
  readonly #repositories: RepositoryTable;
  readonly #list: Statement<[], Row & { upstream: string; name: string; tag: string | null }>;
  readonly #manifests: Statement<[string], Row>;
  readonly #blobs: Statement<[string], Row & { size: number; used_at: number | null }>;
  readonly #granted: Statement<[string], Row>;
  readonly #named: Statement<[string], Row>;
  readonly #forget: Statement<[string]>;
  readonly #remove: ImageView['remove'];

  constructor(database: Database, repositories: RepositoryTable) {
    this.#repositories = repositories;
    this.#list = database.prepare(
      `SELECT upstream, name, tag, digest FROM tags JOIN repositories ON id = repository WHERE digest IS NOT NULL
       UNION ALL
       SELECT upstream, name, NULL, g.digest FROM grants AS g JOIN repositories ON id = g.repository
       WHERE g.kind = 'manifest'
         AND NOT EXISTS (SELECT 1 FROM tags WHERE tags.repository = g.repository AND tags.digest = g.digest)
         AND NOT EXISTS (
           SELECT 1 FROM descriptors AS d JOIN grants AS other
             ON other.digest = d.manifest AND other.kind = 'manifest' AND other.repository = g.repository
           WHERE d.digest = g.digest AND d.kind = 'manifest')
       ORDER BY 1, 2, 3, 4`,
    );
    this.#manifests = database.prepare(
      `${tree} SELECT digest FROM tree WHERE digest IN (SELECT digest FROM manifests)`,
    );
    this.#blobs = database.prepare(
      `${tree} SELECT d.digest, coalesce(blobs.size, max(d.size)) AS size, used_at
       FROM tree JOIN descriptors AS d ON d.manifest = tree.digest AND d.kind = 'blob'
       LEFT JOIN blobs ON blobs.digest = d.digest GROUP BY d.digest`,
    );
    this.#granted = database.prepare("SELECT digest FROM grants WHERE digest = ? AND kind = 'manifest'");
    this.#named = database.prepare("SELECT digest FROM descriptors WHERE digest = ? AND kind = 'blob'");
    this.#forget = database.prepare('DELETE FROM manifests WHERE digest = ?');
    this.#remove = database.transaction(this.#prepareRemove(database));
  }

  list(): ImageRecord[] {
    return this.#list.all().map(({ upstream, name, tag, digest }) => {
      return { repository: { upstream, name }, tag: tag ?? undefined, digest };
    });
  }

  contents(digest: Digest): ImageContents {
    const blobs = this.#blobs.all(digest);
    return {
      manifests: this.#manifests.all(digest).map((row) => row.digest),
      blobs: blobs.map((row) => ({ digest: row.digest, size: row.size, usedAt: row.used_at ?? undefined })),
    };
  }

  remove(image: Parameters<ImageCatalog['remove']>[0]): RemovedImage | undefined {
    return this.#remove(image);
  }

  #forgetUngranted(manifests: readonly Digest[]): void {
    for (const each of manifests) if (this.#granted.get(each) === undefined) this.#forget.run(each);
  }

  #prepareRemove(database: Database): ImageView['remove'] {
    const tagged = database.prepare<[number, string], Row>(
      'SELECT digest FROM tags WHERE repository = ? AND tag = ? AND digest IS NOT NULL',
    );
    const granted = database.prepare<[number, string], Row>(
      "SELECT digest FROM grants WHERE repository = ? AND digest = ? AND kind = 'manifest'",
    );
    const untag = database.prepare<[number, string]>('DELETE FROM tags WHERE repository = ? AND tag = ?');
    const untagAll = database.prepare<[number, string]>('DELETE FROM tags WHERE repository = ? AND digest = ?');
    const others = database.prepare<[number], Row>(
      'SELECT digest FROM tags WHERE repository = ? AND digest IS NOT NULL',
    );
    const revoke = database.prepare<[number, string]>('DELETE FROM grants WHERE repository = ? AND digest = ?');
    return ({ repository, tag, digest }) => {
      const id = this.#repositories.find(repository);
      if (id === undefined) return undefined;
      const root = (tag === undefined ? granted.get(id, digest ?? '') : tagged.get(id, tag))?.digest;
      if (root === undefined) return undefined;
      if (tag === undefined) untagAll.run(id, root);
      else untag.run(id, tag);
      const { manifests, blobs } = this.contents(root);
      const kept = new Set(others.all(id).flatMap((other) => this.contents(other.digest).manifests));
      const gone = manifests.filter((each) => !kept.has(each));
      for (const each of gone) revoke.run(id, each);
      this.#forgetUngranted(gone);
      const left = blobs.map((each) => each.digest).filter((each) => this.#named.get(each) === undefined);
      for (const each of left) revoke.run(id, each);
      return { manifests: gone, blobs: left };
    };
  }
}
