import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
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
