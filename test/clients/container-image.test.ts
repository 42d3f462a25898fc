import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { baseImagePrograms, importBaseImage } from '../support/base-image.ts';
import { fetchRaw } from '../support/client.ts';
import { Dockerd, dockerPrograms } from '../support/dockerd.ts';
import { makeImage } from '../support/images.ts';
import { lacking } from '../support/lacking.ts';
import { upstreamConfig } from '../support/mirror.ts';
import { run } from '../support/program.ts';
import { FakeRegistry } from '../support/registry.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const root = join(import.meta.dirname, '../..');
const skip = lacking([...baseImagePrograms, ...dockerPrograms], { root: true });
/** The least that a cluster gives: nothing to write to but the volume, a user that nobody knows, no capability. */
const restricted = ['--read-only', '--user', '123456:0', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
const listFiles = `
  const entries = require('fs').readdirSync('/app', { recursive: true, withFileTypes: true });
  for (const entry of entries) if (entry.isFile()) console.log(require('path').relative('/app', entry.parentPath + '/' + entry.name));`;

test('the container image serves pulls as any user of group 0, and has nothing but the program in it', {
  skip,
}, async (t) => {
  const daemon = await Dockerd.start();
  t.after(() => daemon.stop());
  await importBaseImage(daemon, 'node:24-bookworm-slim');
  const packages = (await run(['npm', 'config', 'get', 'registry'])).trim();
  const settings = [`NPM_CONFIG_REGISTRY=${packages}`, 'VERSION=1.2.3', 'REVISION=abc'];
  await daemon.run([
    'build',
    '--network',
    'host',
    ...settings.flatMap((each) => ['--build-arg', each]),
    '-t',
    'weir',
    root,
  ]);

  const [image] = JSON.parse(await daemon.run(['inspect', 'weir']));
  for (const variable of ['WEIR_LISTEN=0.0.0.0:5000', 'WEIR_ADMIN=0.0.0.0:5001', 'WEIR_DATA_DIR=/data'])
    assert.ok(image.Config.Env.includes(variable), variable);
  assert.deepEqual([image.Config.User, Object.keys(image.Config.Volumes)], ['65532:0', ['/data']]);
  const label = (name: string) => image.Config.Labels[`org.opencontainers.image.${name}`];
  assert.deepEqual(['title', 'licenses', 'version', 'revision'].map(label), ['Weir', 'Apache-2.0', '1.2.3', 'abc']);
  assert.ok(!(await daemon.run(['history', '--no-trunc', 'weir'])).includes(packages));
  const listed = await daemon.run([
    'run',
    '--rm',
    '--network',
    'none',
    '--entrypoint',
    'node',
    'weir',
    '-e',
    listFiles,
  ]);
  assertProgramOnly(listed.trim().split('\n'));

  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  const pulled = makeImage(2_000_000);
  upstream.push('team/app', 'v1', pulled);
  const config = join(tempDir(), 'weir.yaml');
  writeFileSync(config, JSON.stringify(upstreamConfig(upstream.url)), { mode: 0o644 });
  const port = await freePort();
  const env = [`WEIR_LISTEN=127.0.0.1:${port}`, 'WEIR_ADMIN=127.0.0.1:0', 'WEIR_CONFIG=/etc/weir.yaml'];
  const where = ['--network', 'host', '--volume', `${config}:/etc/weir.yaml:ro`, '--health-interval', '1s'];
  const words = [...where, ...restricted, ...env.flatMap((each) => ['--env', each])];
  await daemon.run(['run', '--detach', '--name', 'mirror', ...words, 'weir']);
  const state = async (key: string) => (await daemon.run(['inspect', '-f', `{{.State.${key}}}`, 'mirror'])).trim();
  await until(async () => (await state('Health.Status')) === 'healthy');
  const url = `http://127.0.0.1:${port}`;
  assert.equal((await fetchRaw(`${url}/readyz`)).status, 200);
  assert.ok((await fetchRaw(`${url}/v2/team/app/manifests/v1`)).body.equals(pulled.manifest.bytes));
  for (const [digest, bytes] of pulled.blobs)
    assert.ok((await fetchRaw(`${url}/v2/team/app/blobs/${digest}`)).body.equals(bytes), digest);
  await daemon.run(['stop', 'mirror']);
  assert.equal(await state('ExitCode'), '0');
});

/** What was compiled of the sources, the license, and packages of production that this system can use. */
function assertProgramOnly(files: readonly string[]): void {
  const own = files.filter((file) => !file.startsWith('node_modules/'));
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true });
  const paths = sources
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(join(root, 'src'), join(parentPath, name)))
    .map((path) => join('dist', path.replace(/\.ts$/, '.js')));
  assert.deepEqual(own.toSorted(), ['LICENSE', 'package.json', ...paths].toSorted());
  const useless =
    /^node_modules\/(?:@biomejs|@types|typescript|knip|fast-check|smol-toml|node-linux)|\b(?:darwin|win32)-\w+\.node$/;
  assert.deepEqual(
    files.filter((file) => useless.test(file)),
    [],
  );
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
