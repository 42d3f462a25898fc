import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { CatalogError } from '../../src/catalog/catalog.ts';
import { migrations } from '../../src/catalog/migrations.ts';
import { SqliteCatalog } from '../../src/catalog/sqlite.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { tempDir } from '../support/temp.ts';
import { catalogConformance } from './catalog.ts';

const newPath = () => join(tempDir(), 'catalog.db');

catalogConformance('sqlite', () => {
  const path = newPath();
  return () => new SqliteCatalog(path);
});

/** Runs SQL on the file behind the catalog's back. */
function edit<T>(path: string, work: (database: Database.Database) => T): T {
  const database = new Database(path);
  try {
    return work(database);
  } finally {
    database.close();
  }
}

const versionOf = (path: string) => edit(path, (database) => database.pragma('user_version', { simple: true }));

/** What opening the file says is wrong. */
function refusal(path: string): string {
  try {
    new SqliteCatalog(path).close();
    return '';
  } catch (error) {
    assert.ok(error instanceof CatalogError, String(error));
    return error.message;
  }
}

test('sqlite: an empty file becomes a catalog of the newest version, and stays one', () => {
  const path = newPath();
  writeFileSync(path, '');
  assert.equal(versionOf(path), 0);
  assert.equal(refusal(path), '');
  const version = versionOf(path);
  assert.ok(Number(version) >= 1);
  assert.equal(refusal(path), '');
  assert.equal(versionOf(path), version);
});

test('sqlite: a migration that fails leaves the file as it was', () => {
  const path = newPath();
  edit(path, (database) => database.exec('CREATE TABLE grants (mine TEXT)'));
  assert.match(refusal(path), /cannot be used \(SQLITE_ERROR\): restore it, or move it away/);
  const tables = edit(path, (database) =>
    database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all(),
  );
  assert.deepEqual([tables, versionOf(path)], [[{ name: 'grants' }], 0]);
});

test('sqlite: repositories of which nothing is known are forgotten', () => {
  const path = newPath();
  const catalog = new SqliteCatalog(path);
  const digest = digestOf(Buffer.from('x'));
  const pin = { repository: { upstream: 'up', name: 'gone' }, reference: digest };
  catalog.pins.add(pin);
  catalog.pins.remove(pin);
  catalog.pins.add({ ...pin, repository: { upstream: 'up', name: 'back' } });
  catalog.pins.remove({ ...pin, repository: { upstream: 'up', name: 'back' } });
  catalog.flush();
  catalog.pins.add({ ...pin, repository: { upstream: 'up', name: 'pinned' } });
  catalog.tags.put({ upstream: 'up', name: 'tagged' }, 'v1', { digest, checkedAt: 1 });
  catalog.manifests.grantBlob({ upstream: 'up', name: 'granted' }, digest, 1, { at: 1, login: false });
  const referrers = { content: undefined, next: undefined, checkedAt: 1 };
  catalog.referrers.put({ upstream: 'up', name: 'referred' }, digest, '', referrers);
  catalog.tags.put({ upstream: 'up', name: 'back' }, 'v1', { digest, checkedAt: 1 });
  catalog.close();
  const names = edit(path, (database) => database.prepare('SELECT name FROM repositories ORDER BY 1').pluck().all());
  assert.deepEqual(names, ['back', 'granted', 'pinned', 'referred', 'tagged']);
});

/** Adds a manifest that names a blob, of which an upstream spoke at this time. */
function addManifest({ manifests, tags }: SqliteCatalog, index: number, length: number): Digest {
  const repository = { upstream: 'up', name: 'app' };
  const digest = digestOf(Buffer.from(`manifest ${index}`));
  const blob = { digest: blobOf(index), size: 1, mediaType: 'application/x' };
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  manifests.add({ digest, mediaType, bytes: Buffer.alloc(length) }, { manifests: [], blobs: [blob] });
  manifests.grant(repository, digest, { at: index, login: false });
  tags.put(repository, `v${index}`, { digest, checkedAt: index });
  return digest;
}

const blobOf = (index: number) => digestOf(Buffer.from(`blob ${index}`));

for (const [name, length, most] of [
  ['many', 100, 16_000],
  ['large', 4_000_000, 16],
] as const) {
  test(`sqlite: of manifests without anything else, too ${name} are forgotten, the oldest first, and their tags`, () => {
    const catalog = new SqliteCatalog(':memory:');
    const repository = { upstream: 'up', name: 'app' };
    const digests = Array.from({ length: most + 10 }, (_, index) => addManifest(catalog, index, length));
    const [held, pinned, gone] = digests;
    if (held === undefined || pinned === undefined || gone === undefined) assert.fail();
    catalog.blobs.add({ digest: blobOf(0), size: 1, usedAt: 0 }, new Uint32Array());
    catalog.pins.add({ repository, reference: pinned });
    for (let turn = 0; turn <= digests.length; turn += 500) catalog.flush();
    const left = digests.filter((digest) => catalog.manifests.find(digest) !== undefined);
    assert.deepEqual(left.slice(0, 2), [held, pinned]);
    assert.deepEqual(left.slice(2), digests.slice(-left.length + 2));
    assert.ok(left.length > most / 1.2 && left.length <= most + 2, `${left.length} of ${digests.length}`);
    assert.equal(catalog.manifests.granted(repository, gone), false);
    assert.equal(catalog.tags.find(repository, 'v2'), undefined);
    assert.equal(catalog.tags.find(repository, 'v1')?.digest, pinned);
    catalog.close();
  });
}

const [blob, partial, manifest] = ['blob', 'partial', 'manifest'].map((text) => digestOf(Buffer.from(text))) as [
  Digest,
  Digest,
  Digest,
];

/** Rows of every table, as the version that is the index wrote them: what it brought, and what was there before. */
const rows: readonly string[] = [
  '',
  `
  INSERT INTO blobs VALUES ('${blob}', 1000, 1, x'07000000');
  INSERT INTO partials (name, upstream, digest, size, used_at) VALUES ('a', 'up', '${partial}', 500, 2);
  INSERT INTO pieces VALUES ('a', 10, 60, 3);
  INSERT INTO manifests VALUES ('${manifest}', 'application/x', x'6d');
  INSERT INTO descriptors VALUES ('${manifest}', 0, 'blob', '${blob}', 1000, 'application/y');
  INSERT INTO repositories VALUES (7, 'up', 'app');
  INSERT INTO grants (repository, kind, digest, size, seen_at) VALUES (7, 'manifest', '${manifest}', NULL, 4);
  INSERT INTO grants (repository, kind, digest, size, seen_at) VALUES (7, 'blob', '${partial}', 500, 3);
  INSERT INTO tags VALUES (7, 'v1', '${manifest}', 5), (7, 'gone', NULL, 6);
  `,
  `INSERT INTO referrers VALUES (7, '${manifest}', '', '{}', 'more', 8);`,
  "INSERT INTO pins VALUES (7, 'v1');",
  'UPDATE grants SET login = 0;',
];

/** All that a catalog knows of these rows. */
function knowledge({ blobs, partials, usage, manifests, tags, referrers, pins, images }: SqliteCatalog): object {
  const repository = { upstream: 'up', name: 'app' };
  return {
    bytes: [usage.bytes(), partials.bytes('a')],
    blob: [blobs.find(blob), [...blobs.checksums(blob)]],
    partial: [partials.list(), partials.pieces('a')],
    manifest: [manifests.find(manifest), images.contents(manifest)],
    claims: [blob, partial].map((digest) => manifests.claim(repository, digest)),
    seen: manifests.seen(repository, 100),
    tags: [tags.find(repository, 'v1'), tags.find(repository, 'gone'), images.list()],
    referrers: referrers.find(repository, manifest, ''),
    pins: pins.list(),
  };
}

for (const version of Array.from(migrations, (_, index) => index + 1)) {
  test(`sqlite: a catalog of version ${version} is brought to this one with all that it knows`, () => {
    const path = newPath();
    edit(path, (database) => {
      for (let at = 0; at < version; at++) database.exec(`${migrations[at]}; ${rows[at + 1] ?? ''}`);
      database.pragma(`user_version = ${version}`);
    });
    const catalog = new SqliteCatalog(path);
    const repository = { upstream: 'up', name: 'app' };
    assert.deepEqual(knowledge(catalog), {
      bytes: [1050, 50],
      blob: [{ digest: blob, size: 1000, usedAt: 1 }, [7]],
      partial: [
        [{ name: 'a', upstream: 'up', digest: partial, size: 500, usedAt: 2 }],
        [{ start: 10, end: 60, crc: 3 }],
      ],
      manifest: [
        { digest: manifest, mediaType: 'application/x', bytes: Buffer.from('m') },
        { manifests: [manifest], blobs: [{ digest: blob, size: 1000, usedAt: 1 }] },
      ],
      claims: [{ size: 1000 }, { size: 500 }],
      // Before, nobody wrote down whether there was a login: it counts as if.
      seen: { at: 4, login: version < 4 },
      tags: [
        { digest: manifest, checkedAt: 5 },
        { digest: undefined, checkedAt: 6 },
        [{ repository, tag: 'v1', digest: manifest }],
      ],
      referrers: version < 2 ? undefined : { content: '{}', next: 'more', checkedAt: 8 },
      pins: version < 3 ? [] : [{ repository, reference: 'v1' }],
    });
    catalog.blobs.remove(blob);
    catalog.partials.remove('a');
    assert.equal(catalog.usage.bytes(), 0);
    catalog.close();
    assert.equal(versionOf(path), migrations.length);
  });
}

test('sqlite: the catalog of a newer version is refused, untouched, with a remedy', () => {
  const path = newPath();
  new SqliteCatalog(path).close();
  const newer = Number(versionOf(path)) + 1;
  edit(path, (database) => database.pragma(`user_version = ${newer}`));
  assert.match(refusal(path), new RegExp(`version ${newer}, this is version ${newer - 1}: run the newer weir`));
  assert.equal(versionOf(path), newer);
});

test('sqlite: a second process is refused with a remedy, and disturbs nobody', () => {
  const path = newPath();
  const catalog = new SqliteCatalog(path);
  assert.match(refusal(path), /another process uses .*catalog\.db: end it, or choose another data directory/);
  const digest = digestOf(Buffer.from('x'));
  catalog.blobs.add({ digest, size: 1, usedAt: 1 }, new Uint32Array());
  assert.ok(catalog.blobs.find(digest));
  catalog.close();
  assert.equal(refusal(path), '');
});

test('sqlite: what is no catalog, or cannot be opened, is refused with a remedy', () => {
  const path = newPath();
  writeFileSync(path, 'this is not a database, though it is long enough to have the header of one. '.repeat(20));
  assert.match(refusal(path), /cannot be used \(SQLITE_NOTADB\): restore it, or move it away/);
  assert.match(refusal(join(tempDir(), 'missing/catalog.db')), /is the directory there and writable\?/);
});

test('sqlite: thousands of uses are written though nobody flushes them', () => {
  const path = newPath();
  const catalog = new SqliteCatalog(path);
  const digests = Array.from({ length: 1000 }, (_, index) => digestOf(Buffer.from(String(index))));
  catalog.blobs.add({ digest: digests[0] ?? assert.fail(), size: 1, usedAt: 1 }, new Uint32Array());
  for (const [index, digest] of digests.entries()) catalog.blobs.touch(digest, 1000 + index);
  assert.deepEqual(
    catalog.usage.oldest(1).map(({ usedAt }) => usedAt),
    [1000],
  );
  catalog.close();
});
