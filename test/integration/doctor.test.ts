import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { makeImage, makeIndex } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { attempt, type Outcome } from '../support/program.ts';
import { FakeRegistry } from '../support/registry.ts';
import { setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';

const entry = join(import.meta.dirname, '../../src/weir.js');
/** Without the upstreams that are configured by default: there is no network here. */
const alone = Object.fromEntries(
  ['docker.io', 'quay.io', 'ghcr.io', 'gcr.io', 'registry.k8s.io', 'mcr.microsoft.com', 'public.ecr.aws'].map(
    (name) => [name, null],
  ),
);

function doctor(config: object, ...words: readonly string[]): Promise<Outcome> {
  const file = join(tempDir(), 'weir.yaml');
  writeFileSync(file, JSON.stringify(config));
  return attempt([process.execPath, entry, 'doctor', ...words, '--config', file]);
}

function configOf(endpoint: string, more: object = {}, entryMore: object = {}): object {
  const upstreams = { ...alone, 'up.test': { endpoints: [endpoint], insecure: true, ...entryMore } };
  return {
    listen: '127.0.0.1:0',
    admin: '127.0.0.1:0',
    dataDir: tempDir(),
    defaultUpstream: 'up.test',
    upstreams,
    ...more,
  };
}

/** The lines that tell of something wrong, but for the disk: a busy machine's may be slow. */
const wrong = ({ stdout }: Outcome) => stdout.split('\n').filter((line) => /^WRONG +(?!cache speed)/.test(line));

test('doctor says ok for each check where nothing is wrong, and knows a mirror that runs', async (t) => {
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  const { port, adminUrl } = await startMirror(t, { config: upstreamConfig(upstream.url) });
  const config = configOf(upstream.url, { listen: `127.0.0.1:${port}`, admin: new URL(adminUrl).host });
  const outcome = await doctor(config);
  assert.deepEqual(wrong(outcome), [], outcome.stderr);
  assert.equal(outcome.code, /^WRONG/m.test(outcome.stdout) ? 1 : 0);
  assert.match(outcome.stdout, new RegExp(`^ok +listen: a mirror runs at 127\\.0\\.0\\.1:${port}$`, 'm'));
  assert.match(outcome.stdout, /^ok +admin: a mirror runs at /m);
  assert.match(outcome.stdout, /^\w+ +cache speed: .*\/s/m);
  assert.match(outcome.stdout, /^ok +upstream up\.test: http:.* answers$/m);
  const { ok, findings } = JSON.parse((await doctor(config, '--json')).stdout);
  assert.equal(
    ok,
    findings.every((finding: { ok: boolean }) => finding.ok),
  );
  assert.ok(findings.length >= 5);
});

test('doctor names each thing that is wrong, with a remedy', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  const address = taken.address();
  assert.ok(address !== null && typeof address === 'object');
  taken.on('connection', (socket) => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'));
  const dir = tempDir();
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const config = configOf(
    'http://127.0.0.1:1',
    {
      listen: `127.0.0.1:${address.port}`,
      tls: { cert: file('cert', 'none'), key: join(dir, 'missing') },
      clients: { htpasswd: file('htpasswd', 'node:secret\n') },
      dataDir: join(file('file', ''), 'data'),
    },
    { ca: file('ca', 'none'), credentials: { username: 'u', passwordFile: join(dir, 'nothing') } },
  );
  const outcome = await doctor(config);
  assert.equal(outcome.code, 1);
  const lines = wrong(outcome).join('\n');
  for (const line of [
    /tls: .*ENOENT.*; /,
    /clients\.htpasswd: .*; /,
    /upstreams\.up\.test\.ca: .*; /,
    /upstreams\.up\.test\.credentials: .*nothing cannot be read \(ENOENT\); /,
    /cache: .*ENOTDIR.*; /,
    new RegExp(`listen: 127\\.0\\.0\\.1:${address.port} cannot be listened on \\(EADDRINUSE\\); `),
    /upstream up\.test: .*; /,
  ])
    assert.match(lines, line);
  assert.doesNotMatch(outcome.stdout, /secret/);
});

test('doctor does not ask an upstream that is offline, and finds nothing wrong with that', async (t) => {
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  const outcome = await doctor(configOf(upstream.url, {}, { offline: true }));
  assert.deepEqual([wrong(outcome), upstream.seen.length], [[], 0]);
  assert.match(outcome.stdout, /^ok +upstream up\.test: it is configured to be offline/m);
});

test('doctor tells an upstream that cannot be reached from one that refuses the login', async (t) => {
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  upstream.requireBasic('mirror', 'right');
  const passwordFile = join(tempDir(), 'password');
  const examine = async (password: string, endpoint = upstream.url) => {
    writeFileSync(passwordFile, password);
    return doctor(configOf(endpoint, {}, { credentials: { username: 'mirror', passwordFile } }));
  };
  const right = await examine('right');
  assert.match(right.stdout, /^ok +upstream up\.test: .* answers, and takes the credentials$/m);
  assert.match((await examine('wrong')).stdout, /^WRONG +upstream up\.test: .*; renew the credentials/m);
  assert.match(
    (await examine('right', 'http://127.0.0.1:1')).stdout,
    /^WRONG +upstream up\.test: http:\/\/127\.0\.0\.1:1 fails: 127\.0\.0\.1:1: ECONNREFUSED; check its name/m,
  );
});

test('doctor says that credentials are taken only where the file has some for the upstream', async (t) => {
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  const dockerConfig = join(tempDir(), 'config.json');
  const examine = async (host: string) => {
    writeFileSync(dockerConfig, JSON.stringify({ auths: { [host]: { auth: 'bWlycm9yOnJpZ2h0' } } }));
    return (await doctor(configOf(upstream.url, { credentials: { dockerConfig } }))).stdout;
  };
  assert.match(await examine('elsewhere.test'), /^ok +upstream up\.test: .* answers$/m);
  assert.match(await examine(new URL(upstream.url).host), /^ok +upstream up\.test: .* and takes the credentials$/m);
});

const userAgents = ['cri-o/1.31.2 go/go1.22.12', 'cri-o/1.33.0 go/go1.23', 'containerd/v2.1.4'];
const node = { watchdog: { timeout: '1s', commitRate: '1MiB' } };

/** A mirror that nodes have pulled from, and its own doctor. */
async function setPatient(t: Parameters<typeof setScene>[0], layers: readonly number[]) {
  const { upstream, mirror, manifestUrl, layerUrl } = await setScene(t, { layers: [1000], config: node });
  for (const agent of userAgents) {
    for (const url of [manifestUrl, layerUrl]) await fetchRaw(url, { headers: { 'user-agent': agent } });
  }
  const image = makeImage(...layers);
  upstream.push('team/big', image.manifest.digest, image);
  upstream.putManifest('team/big', makeIndex(image, makeImage(10)), 'v1');
  const config = configOf(upstream.url, {
    listen: `127.0.0.1:${mirror.port}`,
    admin: new URL(mirror.adminUrl).host,
    ...node,
  });
  return { upstream, examine: (...words: readonly string[]) => doctor(config, 'image', ...words) };
}

test('doctor image says that a giant last layer is lost, on which nodes, and that the retry is instant', async (t) => {
  const { examine } = await setPatient(t, [10_000, 3_000_000]);
  const { code, stdout } = await examine('up.test/team/big:v1');
  assert.equal(code, 1);
  assert.match(stdout, /^up\.test\/team\/big:v1 for linux\/amd64: sha256:/);
  assert.match(stdout, /layer 2 +2\.9 MiB +unpacks in 2\.9 s, longer than the watchdog waits/);
  assert.match(stdout, /Lost: .*layer 2 is the last one, and alone unpacks in 2\.9 s: nothing is left to send/);
  assert.match(stdout, /next pull .* is instant/);
  assert.match(stdout, /cri-o 1\.31\.2 \(1 node, .*\): the first pull fails, the next one is instant/);
  assert.match(stdout, /cri-o 1\.33\.0 \(1 node; .*\): not at risk/);
  assert.match(stdout, /containerd v?2\.1\.4 \(1 node; no watchdog\): not at risk/);
});

test('doctor image says what the guard saves, as JSON too, and of the platform that was asked for', async (t) => {
  const { examine } = await setPatient(t, [10_000, 3_000_000, 2600]);
  const { code, stdout } = await examine('team/big:v1');
  assert.equal(code, 0);
  assert.match(stdout, /Saved by the guard: .*the last bytes of layer 3 are held for up to 2\.4 s/);
  assert.match(stdout, /cri-o 1\.31\.2 .*: saved by the guard/);
  const json = JSON.parse((await examine('team/big:v1', '--json')).stdout);
  assert.deepEqual([json.lost, json.verdict.outcome, json.platform], [false, 'saved', 'linux/amd64']);
  assert.deepEqual(
    json.layers.map(({ outlasts }: { outlasts: boolean }) => outlasts),
    [false, true, false],
  );
  const outcomes = json.nodes.map((each: { version: string; outcome: string }) => `${each.version} ${each.outcome}`);
  assert.ok(outcomes.includes('1.31.2 saved') && outcomes.includes('1.33.0 not at risk'), outcomes.join());
  assert.match((await examine('team/big:v1', '--platform', 'linux/s390x')).stderr, /has no platform linux\/s390x/);
  const nothing = await examine('team/nothing:v1');
  assert.deepEqual([nothing.code, /404/.test(nothing.stderr)], [1, true], nothing.stderr);
});

test('doctor image says where it looked for the mirror, and what to do when none is there', async () => {
  const { code, stderr } = await doctor(configOf('http://127.0.0.1:1'), 'image', 'busybox', '--mirror', '127.0.0.1:1');
  assert.equal(code, 1);
  assert.equal(
    stderr,
    'weir: the mirror at 127.0.0.1:1 cannot be asked (ECONNREFUSED): start it, or say by --mirror where it is\n',
  );
});

test('doctor that is called wrongly says how it is called', async () => {
  for (const words of [['image'], ['pulse'], ['image', 'a', 'b'], ['--bogus']]) {
    assert.equal((await doctor(configOf('http://127.0.0.1:1'), ...words)).code, 2, words.join(' '));
  }
  const help = await doctor({}, '--help');
  assert.deepEqual([help.code, /weir doctor image quay\.io/.test(help.stdout)], [0, true]);
});
