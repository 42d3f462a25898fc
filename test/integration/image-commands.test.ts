import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, hexOf } from '../../src/oci/digest.ts';
import { chunkSize } from '../../src/storage/driver.ts';
import { fetchRaw } from '../support/client.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { attempt, type Outcome } from '../support/program.ts';
import { pullAll, type Scene, setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const entry = join(import.meta.dirname, '../../src/weir.js');

/** Runs a command of the program. */
const weir = (...words: readonly string[]): Promise<Outcome> => attempt([process.execPath, entry, ...words]);

/** A configuration file that says where the mirror of a scene is. */
function configOf({ mirror }: Scene, more: object = {}): string {
  const file = join(tempDir(), 'weir.yaml');
  writeFileSync(file, JSON.stringify({ admin: new URL(mirror.adminUrl).host, dataDir: mirror.dataDir, ...more }));
  return file;
}

test('images are warmed, listed, pinned and removed by commands; without a mirror they are still listed', async (t) => {
  const token = join(tempDir(), 'token');
  writeFileSync(token, 'secret\n');
  const scene = await setScene(t, { config: { adminToken: { file: token } } });
  const config = ['--config', configOf(scene, { adminToken: { file: token } })];
  const list = join(tempDir(), 'images.txt');
  writeFileSync(list, '# what we need\nup.test/team/app:v1  # the app\n\n');
  const warmed = await weir('warm', '--from', list, ...config);
  assert.deepEqual([warmed.code, warmed.stdout], [0, ''], warmed.stderr);
  assert.match(warmed.stderr, /^up\.test\/team\/app:v1: complete, 2\.9 MiB$/m);
  const pinned = await weir('pin', 'up.test/team/app:v1', ...config);
  assert.deepEqual([pinned.code, pinned.stderr], [0, 'up.test/team/app:v1 is pinned\n']);
  const listed = await weir('ls', ...config);
  assert.match(listed.stdout, /^IMAGE .*\nup\.test\/team\/app:v1 +2\.9 MiB +complete +\d{4}-\S+ \d\d:\d\d +pinned\n$/);
  const refused = await weir('rm', 'up.test/team/app:v1', ...config);
  assert.deepEqual([refused.code, refused.stderr], [1, 'weir: the image is pinned: unpin it first\n']);
  assert.equal((await weir('unpin', 'up.test/team/app:v1', ...config)).code, 0);
  const verified = await weir('verify', ...config);
  assert.deepEqual([verified.code, verified.stdout, verified.stderr], [0, '', '2 blobs, 0 wrong\n']);
  await scene.mirror.close();
  const alike = await weir('verify', '--json', ...config);
  assert.deepEqual([alike.code, alike.stdout.trim().split('\n').length], [0, 2]);
  const offline = await weir('ls', 'up.test/team/app:v1', '--json', ...config);
  assert.equal(JSON.parse(offline.stdout)[0].complete, true);
  assert.match(offline.stderr, /^no mirror runs at 127\.0\.0\.1:\d+: this is what \//);
  const alone = await weir('rm', 'up.test/team/app:v1', ...config);
  assert.equal(alone.code, 1);
  assert.match(alone.stderr, /^weir: no mirror runs at 127\.0\.0\.1:\d+: --config or --admin says where it is\n$/);
});

test('a mirror that runs repairs at once what has a bit flipped', async (t) => {
  const scene = await setScene(t, { layers: [3 * chunkSize] });
  await pullAll(scene);
  await until(async () => /^weir_flights 0$/m.test(await scene.mirror.metrics()));
  const digest = digestOf(scene.layer);
  const path = join(scene.mirror.dataDir, 'blobs/sha256', hexOf(digest).slice(0, 2), hexOf(digest));
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(chunkSize + 5) ^ 1, chunkSize + 5);
  writeFileSync(path, bytes);
  const before = scene.upstream.blobBytes;
  const repaired = await weir('verify', '--repair', '--config', configOf(scene));
  const said = [repaired.code, repaired.stdout, repaired.stderr];
  assert.deepEqual(said, [0, `${digest} is damaged, repaired\n`, '2 blobs, 0 wrong\n']);
  assert.equal(scene.upstream.blobBytes - before, chunkSize);
  assert.ok(readFileSync(path).equals(scene.layer));
});

test('without a mirror a repair only marks what is damaged, and says so; the next mirror fetches that', async (t) => {
  const scene = await setScene(t, { layers: [3 * chunkSize] });
  await pullAll(scene);
  const config = ['--config', configOf(scene)];
  await scene.mirror.close();
  const hex = hexOf(digestOf(scene.layer));
  const path = join(scene.mirror.dataDir, 'blobs/sha256', hex.slice(0, 2), hex);
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(chunkSize + 5) ^ 1, chunkSize + 5);
  writeFileSync(path, bytes);
  const marked = await weir('verify', '--repair', ...config);
  assert.deepEqual([marked.code, marked.stdout], [1, `sha256:${hex} is damaged\n`]);
  assert.match(marked.stderr, /no mirror runs at .*; nothing is repaired, what is damaged is marked/);
  const { dataDir } = scene.mirror;
  const next = await startMirror(t, { dataDir, config: upstreamConfig(scene.upstream.url) });
  const before = scene.upstream.blobBytes;
  assert.ok((await fetchRaw(`${next.url}/v2/team/app/blobs/sha256:${hex}`)).body.equals(scene.layer));
  assert.equal(scene.upstream.blobBytes - before, chunkSize);
});

test('where no mirror has ever been there is nothing to verify, and nothing is made', async (t) => {
  const scene = await setScene(t);
  await scene.mirror.close();
  const dataDir = join(tempDir(), 'nowhere');
  const config = join(tempDir(), 'weir.yaml');
  writeFileSync(config, `dataDir: ${dataDir}\nadmin: ${new URL(scene.mirror.adminUrl).host}\n`);
  const { code, stdout, stderr } = await weir('verify', '--config', config);
  assert.deepEqual([code, stdout], [0, '']);
  assert.match(stderr, /0 blobs, 0 wrong/);
  assert.equal(existsSync(dataDir), false);
});

test('what is missing at the end of warming is said, and ends with 1; a wrong call with 2', async (t) => {
  const scene = await setScene(t);
  const admin = ['--admin', scene.mirror.adminUrl];
  const missing = await weir('warm', 'up.test/team/app:v1', 'up.test/team/app:v2', '--mirror', scene.mirror.adminUrl);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /app:v1: complete/);
  assert.match(missing.stderr, /app:v2: NOT complete/);
  const [gone, wrong, none, typo, help] = await Promise.all([
    weir('ls', 'up.test/team/app:v9', ...admin),
    weir('rm', 'UPPER', ...admin),
    weir('warm', ...admin),
    weir('wram'),
    weir('warm', '--help'),
  ]);
  assert.deepEqual([gone.code, wrong.code, none.code, typo.code, help.code], [1, 2, 2, 2, 0]);
  assert.deepEqual([gone.stdout, gone.stderr], ['', 'up.test/team/app:v9 is not held\n']);
  const list = await weir('warm', '--from', '/nowhere/images.txt', ...admin);
  assert.deepEqual([list.code, list.stderr], [2, 'weir: --from /nowhere/images.txt cannot be read (ENOENT)\n']);
  assert.match(typo.stderr, /did you mean warm\?/);
  assert.match(help.stdout, /Examples:/);
});
