import type { Database, Statement } from 'better-sqlite3';
import type { Digest } from '../oci/digest.ts';

interface Row {
  digest: Digest;
}

/** Manifests of which nothing is left. */
export class AbandonedManifests {
  readonly #namers: Statement<[string], Row>;
  readonly #parts: Statement<[string], Row & { held: number }>;
  readonly #forget: readonly Statement<[string]>[];
  readonly #forgetBlob: Statement<[string]>;
  readonly #run: (blob: Digest, kept: (digest: Digest) => boolean) => Digest[];
  readonly #drop: (manifests: readonly Digest[]) => void;

  constructor(database: Database) {
    this.#namers = database.prepare('SELECT DISTINCT manifest AS digest FROM descriptors WHERE digest = ?');
    this.#parts = database.prepare(
      `SELECT digest, CASE kind
         WHEN 'manifest' THEN EXISTS (SELECT 1 FROM manifests WHERE manifests.digest = descriptors.digest)
         ELSE EXISTS (SELECT 1 FROM blobs WHERE blobs.digest = descriptors.digest)
           OR EXISTS (SELECT 1 FROM partials WHERE partials.digest = descriptors.digest)
       END AS held
       FROM descriptors WHERE manifest = ?`,
    );
    this.#forget = [
      database.prepare("DELETE FROM grants WHERE digest = ? AND kind = 'manifest'"),
      database.prepare('DELETE FROM tags WHERE digest = ?'),
      database.prepare('DELETE FROM manifests WHERE digest = ?'),
    ];
    this.#forgetBlob = database.prepare("DELETE FROM grants WHERE digest = ? AND kind = 'blob'");
    this.#run = database.transaction((blob: Digest, kept: (digest: Digest) => boolean): Digest[] => {
      this.#forgetBlob.run(blob);
      return this.#forgetNamers(blob, kept);
    });
    this.#drop = database.transaction((manifests: readonly Digest[]): void => {
      for (const manifest of manifests) if (!this.#hasParts(manifest)) this.#forgetManifest(manifest);
    });
  }

  /** See `ManifestCatalog.abandon`. */
  abandon(blob: Digest, kept: (digest: Digest) => boolean): Digest[] {
    return this.#run(blob, kept);
  }

  /** Forgets these, but for those of which something has come meanwhile. */
  drop(manifests: readonly Digest[]): void {
    this.#drop(manifests);
  }

  #hasParts(manifest: Digest, kept: (digest: Digest) => boolean = () => false): boolean {
    return this.#parts.all(manifest).some(({ digest, held }) => held === 1 || kept(digest));
  }

  #forgetManifest(manifest: Digest): void {
    for (const forget of this.#forget) forget.run(manifest);
  }

  #forgetNamers(part: Digest, kept: (digest: Digest) => boolean): Digest[] {
    const left = this.#namers
      .all(part)
      .map(({ digest }) => digest)
      .filter((namer) => !this.#hasParts(namer, kept));
    for (const manifest of left) this.#forgetManifest(manifest);
    return [...left, ...left.flatMap((manifest) => this.#forgetNamers(manifest, kept))];
  }
}
