import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { Program } from '../support/program.ts';
import { tempDir } from '../support/temp.ts';

const entry = join(import.meta.dirname, '../../src/weir.js');

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(
  words: readonly string[],
  options: { env?: Record<string, string>; flags?: readonly string[]; stopWhen?: RegExp } = {},
): Promise<Run> {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  const env = { PATH, NODE_COMPILE_CACHE, ...options.env };
  const child = spawn(process.execPath, [...(options.flags ?? []), entry, ...words], { env });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
      if (!child.killed && options.stopWhen?.test(output.stdout)) child.kill('SIGTERM');
    });
  }
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...output })));
}

test('serve says where it is, serves, and ends with 0 on SIGTERM', async () => {
  const env = { WEIR_LISTEN: '127.0.0.1:0', WEIR_ADMIN: '127.0.0.1:0', WEIR_DATA_DIR: tempDir() };
  const { code, stdout, stderr } = await run(['serve'], { env, stopWhen: /"listening"/ });
  assert.equal(code, 0);
  assert.match(stderr, /registry API +127\.0\.0\.1:\d+/);
  assert.match(stderr, /dashboard +http:\/\/127\.0\.0\.1:\d+\/\n/);
  assert.match(stderr, /skopeo copy .*docker:\/\/127\.0\.0\.1:\d+\/docker\.io\/library\//);
  const messages = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).msg);
  assert.deepEqual(messages, ['listening', 'draining', 'closed']);
});

test('SIGHUP reads the configuration again', async () => {
  const file = join(tempDir(), 'weir.yaml');
  const other = { defaultUpstream: 'quay.io', upstreams: { 'docker.io': null } };
  const config = { listen: '127.0.0.1:0', admin: '127.0.0.1:0', dataDir: tempDir(), ...other };
  writeFileSync(file, JSON.stringify(config));
  const program = await Program.start([process.execPath, entry, 'serve', '--config', file]);
  await program.ready(() => program.stdout.includes('"listening"'));
  assert.match(program.stderr, /skopeo copy .*docker:\/\/127\.0\.0\.1:\d+\/quay\.io\/REPOSITORY:TAG /);
  process.kill(program.pid, 'SIGHUP');
  await program.ready(() => program.stdout.includes('"the configuration was read again"'));
  writeFileSync(file, JSON.stringify({ ...config, log: { level: 'loud' } }));
  process.kill(program.pid, 'SIGHUP');
  await program.ready(() => program.stdout.includes('the old one stays'));
  assert.match(program.stdout, /weir\.yaml:1:\d+ log\.level: /);
  assert.equal((await program.stop()).code, 0);
});

test('check says that a configuration is valid, or everything that is wrong with it, and where', async () => {
  const dir = tempDir();
  const good = join(dir, 'good.yaml');
  const bad = join(dir, 'bad.yaml');
  writeFileSync(good, 'cache: { maxSize: 10GiB }\n');
  writeFileSync(bad, 'listen: nowhere\ncache:\n  maxSiz: 1GiB\nupstreams: { quay.io: { tagTtl: 5 } }\n');
  assert.equal((await run(['check', '--config', good])).code, 0);
  const { code, stderr } = await run(['check', '--config', bad]);
  assert.equal(code, 2);
  assert.ok(
    stderr.split('\n', 3).every((line) => line.startsWith(`${bad}:`)),
    stderr,
  );
  assert.match(stderr, /bad\.yaml:1:1 listen: /);
  assert.match(stderr, /bad\.yaml:3:3 cache\.maxSiz: unknown key/);
  assert.match(stderr, /bad\.yaml:4:25 upstreams\.quay\.io\.tagTtl: /);
  const [asData, right] = await Promise.all([bad, good].map((file) => run(['check', '--json', '--config', file])));
  const { valid, issues } = JSON.parse(asData?.stdout ?? '');
  assert.deepEqual([asData?.code, asData?.stderr, valid, issues.length], [2, '', false, 3]);
  assert.deepEqual([right?.code, JSON.parse(right?.stdout ?? '').valid], [0, true]);
});

test('usage errors end with 2 and one line', async () => {
  const wrong = [['sreve'], ['serve', '--bogus'], ['check', '--config']];
  for (const { code, stderr } of await Promise.all(wrong.map((words) => run(words)))) {
    assert.equal(code, 2, stderr);
    assert.equal(stderr.trim().split('\n').length, 1);
  }
  const flag = await run(['check', '--confg', 'weir.yaml']);
  assert.deepEqual([flag.code, flag.stderr], [2, 'weir: there is no --confg; did you mean --config?\n']);
  const help = await run(['--help']);
  assert.deepEqual([help.code, /serve/.test(help.stdout), /Examples:/.test(help.stdout)], [0, true, true]);
  assert.match((await run(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
});

test('a reader of the output that has seen enough ends it without a word', async () => {
  const child = spawn(process.execPath, [entry, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  const [[code], said] = await Promise.all([once(child, 'close'), text(child.stderr)]);
  assert.deepEqual([code, said], [0, '']);
});

test('every command says with --help how it is called, whatever the configuration is', async () => {
  const listed = (await run(['--help'])).stdout.matchAll(/^ {2}([a-z-]+) {2,}/gm);
  const commands = [...listed].map(([, name = '']) => name);
  assert.equal(commands.length, 11);
  const env = { WEIR_CONFIG: '/nowhere.yaml' };
  for (const outcome of await Promise.all(commands.map((name) => run([name, '--help'], { env })))) {
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.match(outcome.stdout, /^Usage: weir [\s\S]+^Examples:\n {2}/m);
  }
});

test('what keeps it from starting is said in one line with a remedy', async (t) => {
  const file = join(tempDir(), 'file');
  writeFileSync(file, '');
  const { code, stderr } = await run(['serve'], { env: { WEIR_DATA_DIR: join(file, 'data') } });
  assert.equal(code, 1);
  assert.match(stderr, /^weir: the data directory \/.*\/file\/data cannot be made: .*dataDir \(ENOTDIR\)\n$/);
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const address = other.address();
  assert.ok(typeof address === 'object' && address !== null);
  const place = `127.0.0.1:${address.port}`;
  const env = { WEIR_LISTEN: place, WEIR_ADMIN: '127.0.0.1:0', WEIR_DATA_DIR: tempDir() };
  const taken = await run(['serve'], { env });
  assert.deepEqual(
    [taken.code, taken.stderr],
    [1, `weir: listen EADDRINUSE: address already in use ${place}: end what listens there, or choose another port\n`],
  );
});

test('a data directory that a newer version wrote is left alone, and one line says what to do', async () => {
  const dataDir = tempDir();
  const path = join(dataDir, 'catalog.db');
  const newer = new Database(path);
  newer.pragma('user_version = 999');
  newer.close();
  const env = { WEIR_LISTEN: '127.0.0.1:0', WEIR_ADMIN: '127.0.0.1:0', WEIR_DATA_DIR: dataDir };
  const { code, stdout, stderr } = await run(['serve'], { env, stopWhen: /"listening"/ });
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(
    stderr,
    /^weir: the catalog has version 999, this is version \d+: run the newer weir, or another data directory\n$/,
  );
  const after = new Database(path);
  assert.equal(after.pragma('user_version', { simple: true }), 999);
  after.close();
});

test('a Node.js that is too old is told so before anything is loaded', async () => {
  const old = join(tempDir(), 'old.mjs');
  writeFileSync(
    old,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });`,
  );
  const { code, stderr } = await run(['serve'], { flags: ['--import', pathToFileURL(old).href] });
  assert.equal(code, 2);
  assert.match(stderr, /^weir needs Node\.js 22\.19 or newer, this is 20\.20\.2: .*\n$/);
});
