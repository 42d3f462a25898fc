import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { SqliteCatalog } from '../../src/catalog/sqlite.ts';
import { fetchRaw } from '../support/client.ts';
import { startMirror } from '../support/mirror.ts';
import { tempDir } from '../support/temp.ts';

/** Milliseconds of the processor: the promise is 2 s in all, of which Node.js takes a part. */
const most = 1500;

/** 100,000 blobs of 30 MiB, in images of ten. */
const filling = `
  CREATE TEMP TABLE made AS
    WITH RECURSIVE counter (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM counter WHERE i < 99999)
    SELECT i, printf('sha256:%064x', i) AS digest, printf('sha256:f%063x', i / 10) AS image FROM counter;
  INSERT INTO blobs (digest, size, used_at, checksums) SELECT digest, 31457280, i, zeroblob(120) FROM made;
  INSERT INTO manifests (digest, media_type, bytes)
    SELECT DISTINCT image, 'application/vnd.oci.image.manifest.v1+json', '{}' FROM made;
  INSERT INTO descriptors (manifest, position, kind, digest, size, media_type)
    SELECT image, i % 10, 'blob', digest, 31457280, 'application/vnd.oci.image.layer.v1.tar+gzip' FROM made;`;

/** A file for each of them, empty: nobody looks into it at the start. */
function putFiles(dataDir: string): void {
  const root = join(dataDir, 'blobs/sha256');
  for (let index = 0; index < 256; index++) {
    mkdirSync(join(root, index.toString(16).padStart(2, '0')), { recursive: true });
  }
  for (let index = 0; index < 100_000; index++) {
    const hex = index.toString(16).padStart(64, '0');
    closeSync(openSync(join(root, hex.slice(0, 2), hex), 'w'));
  }
}

test('with 100,000 blobs it is ready in less than two seconds, and stands still for none of them', async (t) => {
  const dataDir = tempDir();
  putFiles(dataDir);
  const path = join(dataDir, 'catalog.db');
  new SqliteCatalog(path).close();
  const database = new Database(path);
  database.transaction(() => database.exec(filling))();
  database.close();
  const delays = monitorEventLoopDelay({ resolution: 10 });
  delays.enable();
  const before = process.cpuUsage();
  const startedAt = performance.now();
  const { url, metrics } = await startMirror(t, { dataDir, config: { cache: { maxSize: '100TiB' } } });
  assert.equal((await fetchRaw(`${url}/readyz`)).status, 200);
  const { user, system } = process.cpuUsage(before);
  const spent = Math.round((user + system) / 1000);
  t.diagnostic(`ready after ${Math.round(performance.now() - startedAt)} ms, ${spent} ms of the processor`);
  assert.ok(spent < most, `${spent} ms`);
  // Whether anything lies there that nobody knows of is found out beside what is served.
  for (let asked = 0; asked < 100; asked++) assert.equal((await fetchRaw(`${url}/readyz`)).status, 200);
  delays.disable();
  t.diagnostic(`stood still for ${(delays.max / 1e6).toFixed(0)} ms at most`);
  assert.ok(delays.max / 1e6 < most, `${delays.max / 1e6} ms`);
  assert.match(await metrics(), /^weir_cache_bytes 3145728000000$/m);
});
