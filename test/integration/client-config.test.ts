import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse as parseTables } from 'smol-toml';
import { parse, parseAllDocuments } from 'yaml';
import { attempt } from '../support/program.ts';
import { tempDir } from '../support/temp.ts';

const entry = join(import.meta.dirname, '../../src/weir.js');
const mirror = ['--mirror', 'mirror.example.com:5000'];
const two = ['--upstream', 'docker.io', '--upstream', 'quay.io'];

/** What TOML says, in plain objects. */
const parseToml = (text = ''): unknown => JSON.parse(JSON.stringify(parseTables(text)));

const clientConfig = (...words: readonly string[]) => attempt([process.execPath, entry, 'client-config', ...words]);

interface Printed {
  readonly files: readonly { readonly path: string; readonly content: string }[];
  readonly notes: readonly string[];
}

async function filesFor(...words: readonly string[]): Promise<Printed> {
  const { code, stdout, stderr } = await clientConfig(...words, '--json');
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

test('client-config prints files under their paths, and talks beside them', async () => {
  const { code, stdout, stderr } = await clientConfig('crio', ...mirror, ...two);
  assert.equal(code, 0);
  assert.match(stdout, /^# ==> \/etc\/containers\/registries\.conf\.d\/000-weir\.conf <==\n\[\[registry\]\]\n/);
  assert.match(stderr, /systemctl reload crio/);
  assert.doesNotMatch(stderr, /no upstream/);
  const [conf] = (await filesFor('crio', ...mirror, ...two)).files;
  assert.deepEqual(parseToml(stdout), parseToml(conf?.content));
});

test('a registry that the configuration does not have is pointed out', async () => {
  const { code, stderr } = await clientConfig('crio', ...mirror, '--upstream', 'docker.iu');
  assert.equal(code, 0);
  assert.match(stderr, /^docker\.iu is no upstream of this configuration: .*; did you mean docker\.io\?$/m);
});

test('each client is told each registry, and whether the mirror speaks TLS', async () => {
  const [conf] = (await filesFor('podman', ...mirror, ...two)).files;
  const location = (name: string) => `mirror.example.com:5000/${name}`;
  const table = (name: string, more: object) => ({
    prefix: name,
    location: name,
    mirror: [{ location: location(name), ...more }],
  });
  const plain = { insecure: true };
  assert.deepEqual(parseToml(conf?.content ?? ''), { registry: [table('docker.io', plain), table('quay.io', plain)] });
  const tls = await filesFor('crio', '--mirror', 'https://mirror.example.com:5000', ...two);
  assert.deepEqual(parseToml(tls.files[0]?.content ?? ''), {
    registry: [table('docker.io', {}), table('quay.io', {})],
  });
  const { files } = await filesFor('containerd', ...mirror, ...two);
  const paths = files.map(({ path }) => path);
  assert.deepEqual(
    paths,
    ['docker.io', 'quay.io'].map((name) => `/etc/containerd/certs.d/${name}/hosts.toml`),
  );
  assert.deepEqual(parseToml(files[0]?.content ?? ''), {
    server: 'https://registry-1.docker.io',
    host: { 'http://mirror.example.com:5000': { capabilities: ['pull', 'resolve'] } },
  });
});

test('k3s gets a registries.yaml with an endpoint for each registry', async () => {
  const { files } = await filesFor('k3s', ...mirror, ...two);
  assert.equal(files[0]?.path, '/etc/rancher/k3s/registries.yaml');
  const endpoint = ['http://mirror.example.com:5000'];
  assert.deepEqual(parse(files[0]?.content ?? ''), { mirrors: { 'docker.io': { endpoint }, 'quay.io': { endpoint } } });
});

test('OpenShift gets mirror sets for digests and tags, and a MachineConfig with the same in a file', async () => {
  const { files, notes } = await filesFor('openshift', ...mirror, ...two);
  const [sets, machine] = files.map(({ content }) => parseAllDocuments(content).map((document) => document.toJS()));
  const mirrors = ['docker.io', 'quay.io'].map((source) => ({
    source,
    mirrors: [`mirror.example.com:5000/${source}`],
  }));
  const set = (kind: string, key: string) => ({
    ...{ apiVersion: 'config.openshift.io/v1', kind, metadata: { name: 'weir' } },
    spec: { [key]: mirrors },
  });
  assert.deepEqual(sets, [
    set('ImageDigestMirrorSet', 'imageDigestMirrors'),
    set('ImageTagMirrorSet', 'imageTagMirrors'),
  ]);
  assert.deepEqual([machine?.length, machine?.[0].kind], [1, 'MachineConfig']);
  const [file] = machine?.[0].spec.config.storage.files ?? [];
  const [, base64 = ''] = /^data:text\/plain;charset=utf-8;base64,(.*)$/.exec(file.contents.source) ?? [];
  const [conf] = (await filesFor('crio', ...mirror, ...two)).files;
  assert.deepEqual([file.path, Buffer.from(base64, 'base64').toString()], [conf?.path, conf?.content]);
  assert.match(notes.join(' '), /insecureRegistries/);
});

test('without flags, client-config speaks of the mirror that is configured, and all its upstreams', async () => {
  const file = join(tempDir(), 'weir.yaml');
  writeFileSync(file, 'listen: 10.0.0.5:5005\ntls: { cert: a, key: b }\nupstreams: { reg.test: {}, gcr.io: null }\n');
  const { files } = await filesFor('k3s', '--config', file);
  const { mirrors } = parse(files[0]?.content ?? '');
  assert.deepEqual(mirrors['reg.test'], { endpoint: ['https://10.0.0.5:5005'] });
  assert.equal('gcr.io' in mirrors, false);
});

test('client-config that is called wrongly says how it is called', async () => {
  const calls = [[], ['zot'], ['crio', 'podman'], ['crio', '--mirror', 'a b:1'], ['crio', '--mirror', 'host']];
  for (const words of [...calls, ['crio', ...mirror, '--upstream', 'a"b']]) {
    const { code, stderr } = await clientConfig(...words);
    assert.deepEqual([code, stderr.trim().split('\n').length], [2, 1], words.join(' '));
  }
  assert.match((await clientConfig('contianerd')).stderr, /; did you mean containerd\?$/m);
  const { code, stdout } = await clientConfig('--help');
  assert.deepEqual([code, /weir client-config crio --mirror/.test(stdout)], [0, true]);
});
