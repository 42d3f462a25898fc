import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { Containerd, containerdPrograms } from '../support/containerd.ts';
import { ContainersStorage } from '../support/containers-storage.ts';
import { Dockerd, dockerPrograms } from '../support/dockerd.ts';
import { lacking } from '../support/lacking.ts';
import { attempt, run } from '../support/program.ts';
import { imagePrograms, repository } from '../support/real-image.ts';
import { setRealScene } from '../support/real-scene.ts';
import { assertSameBlobs } from '../support/same-content.ts';
import { tempDir } from '../support/temp.ts';

const entry = join(import.meta.dirname, '../../src/weir.js');

/** Writes what `weir client-config` prints below a directory. @returns the directory */
async function writeClientFiles(client: string, mirror: string): Promise<string> {
  const words = ['client-config', client, '--mirror', mirror, '--upstream', 'docker.io', '--json'];
  const { files } = JSON.parse(await run([process.execPath, entry, ...words]));
  const root = tempDir();
  for (const { path, content } of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

/** What k3s and RKE2 make of their registries.yaml when they start: a hosts.toml for each registry, in their own place. */
function hostsOfK3s(root: string): string {
  const { mirrors } = parse(readFileSync(join(root, 'etc/rancher/k3s/registries.yaml'), 'utf8'));
  const hosts = tempDir();
  for (const [name, { endpoint }] of Object.entries<{ endpoint: string[] }>(mirrors)) {
    const tables = endpoint.map((url) => `[host."${url}/v2"]\n  capabilities = ["pull", "resolve"]\n`);
    mkdirSync(join(hosts, name));
    writeFileSync(join(hosts, name, 'hosts.toml'), `server = "https://registry-1.${name}/v2"\n${tables.join('')}`);
  }
  return hosts;
}

/** The file that a MachineConfig puts on the nodes. */
function fileOfMachineConfig(root: string): string {
  const [{ contents }] = parse(readFileSync(join(root, '99-worker-weir.yaml'), 'utf8')).spec.config.storage.files;
  const file = join(tempDir(), 'registries.conf');
  writeFileSync(file, Buffer.from(contents.source.replace(/^.*base64,/, ''), 'base64'));
  return file;
}

/** What the Machine Config Operator makes of mirror sets, where the mirror is among the insecure registries. */
function fileOfMirrorSets(root: string): string {
  const sets = parseAllDocuments(readFileSync(join(root, 'weir-mirror-sets.yaml'), 'utf8')).map((set) => set.toJS());
  const tables = new Map<string, string[]>();
  for (const { spec } of sets) {
    for (const [kind, from] of [
      ['imageDigestMirrors', 'digest-only'],
      ['imageTagMirrors', 'tag-only'],
    ] as const) {
      for (const { source, mirrors } of spec[kind] ?? []) {
        const made = mirrors.map(
          (each: string) =>
            `  [[registry.mirror]]\n    location = "${each}"\n    insecure = true\n    pull-from-mirror = "${from}"\n`,
        );
        tables.set(source, [...(tables.get(source) ?? []), ...made]);
      }
    }
  }
  const file = join(tempDir(), 'registries.conf');
  const registries = [...tables].map(
    ([source, made]) => `[[registry]]\n  prefix = ""\n  location = "${source}"\n${made.join('')}`,
  );
  writeFileSync(file, registries.join(''));
  return file;
}

const conf = 'etc/containers/registries.conf.d/000-weir.conf';
const image = `docker.io/${repository}:multi`;

test('podman pulls through the mirror by what client-config prints', {
  skip: lacking([...imagePrograms, 'podman'], { root: true }),
}, async (t) => {
  const { authority, mirror } = await setRealScene(t);
  const root = await writeClientFiles('podman', authority);
  const { code, stderr } = await new ContainersStorage('podman', join(root, conf)).pull(image);
  assert.equal(code, 0, stderr);
  assert.ok(mirror.log.some(({ fields }) => fields['route'] === 'blob'));
});

test('skopeo takes what client-config prints for CRI-O', { skip: lacking(imagePrograms) }, async (t) => {
  const { authority, original } = await setRealScene(t);
  const root = await writeClientFiles('crio', authority);
  const layout = join(tempDir(), 'layout');
  const words = ['--registries-conf', join(root, conf), 'copy', '--all', '--quiet'];
  const { code, stderr } = await attempt(['skopeo', ...words, `docker://${image}`, `oci:${layout}:multi`]);
  assert.equal(code, 0, stderr);
  assertSameBlobs(join(layout, 'blobs'), original.closure('multi'), original);
});

test('skopeo takes what OpenShift makes of the MachineConfig, and of the mirror sets', {
  skip: lacking(imagePrograms),
}, async (t) => {
  const { authority, original, mirror } = await setRealScene(t);
  const root = await writeClientFiles('openshift', authority);
  for (const file of [fileOfMachineConfig(root), fileOfMirrorSets(root)]) {
    const before = mirror.log.length;
    const layout = join(tempDir(), 'layout');
    const words = ['--registries-conf', file, 'copy', '--all', '--quiet', `docker://${image}`, `oci:${layout}:multi`];
    const { code, stderr } = await attempt(['skopeo', ...words]);
    assert.equal(code, 0, stderr);
    assertSameBlobs(join(layout, 'blobs'), original.closure('multi'), original);
    assert.ok(mirror.log.slice(before).some(({ fields }) => fields['route'] === 'blob'));
  }
});

test('containerd takes what k3s makes of the registries.yaml', {
  skip: lacking([...imagePrograms, ...containerdPrograms], { root: true }),
}, async (t) => {
  const { authority, original } = await setRealScene(t);
  const root = await writeClientFiles('k3s', authority);
  const containerd = await Containerd.start();
  t.after(() => containerd.stop());
  const { code, stderr } = await containerd.pullBy(hostsOfK3s(root), `${repository}:multi`);
  assert.equal(code, 0, stderr);
  assertSameBlobs(containerd.contentDir, original.closure('multi'), original);
});

test('containerd pulls through the mirror by what client-config prints', {
  skip: lacking([...imagePrograms, ...containerdPrograms], { root: true }),
}, async (t) => {
  const { authority, original } = await setRealScene(t);
  const root = await writeClientFiles('containerd', authority);
  const containerd = await Containerd.start();
  t.after(() => containerd.stop());
  const { code, stderr } = await containerd.pullBy(join(root, 'etc/containerd/certs.d'), `${repository}:multi`);
  assert.equal(code, 0, stderr);
  assertSameBlobs(containerd.contentDir, original.closure('multi'), original);
});

test('dockerd pulls through the mirror by what client-config prints', {
  skip: lacking([...imagePrograms, ...dockerPrograms], { root: true }),
}, async (t) => {
  const { authority, mirror } = await setRealScene(t);
  const words = ['client-config', 'docker', '--mirror', authority, '--json'];
  const { files } = JSON.parse(await run([process.execPath, entry, ...words]));
  const daemon = await Dockerd.start([], JSON.parse(files[0].content));
  t.after(() => daemon.stop());
  await daemon.run(['pull', '--quiet', `${repository}:multi`]);
  assert.ok(mirror.log.some(({ fields }) => fields['route'] === 'blob'));
});
