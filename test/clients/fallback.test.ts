import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ociManifest } from '../../src/oci/media-types.ts';
import { Containerd, containerdPrograms } from '../support/containerd.ts';
import { DockerRegistry } from '../support/docker-registry.ts';
import { Dockerd, dockerPrograms } from '../support/dockerd.ts';
import { always, status } from '../support/faults.ts';
import { lacking } from '../support/lacking.ts';
import { startMirror } from '../support/mirror.ts';
import type { OciLayout } from '../support/oci-layout.ts';
import { attempt, type Outcome } from '../support/program.ts';
import { imagePrograms, realImage, repository } from '../support/real-image.ts';
import { writeRegistriesConf } from '../support/registries-conf.ts';
import { FakeRegistry } from '../support/registry.ts';
import { assertSameBlobs, assertUnpacked } from '../support/same-content.ts';
import { tempDir } from '../support/temp.ts';

/** A mirror whose upstream fails, and a registry beside it that has everything. */
interface Fallback {
  /** Host and port of the mirror, as in a reference. */
  readonly mirror: string;
  readonly origin: DockerRegistry;
  readonly original: OciLayout;
}

/** Sets that up: `fails` says which requests get 500 of the mirror's upstream. */
async function setFallback(t: TestContext, fails: (path: string, original: OciLayout) => boolean): Promise<Fallback> {
  const { layout: original, registryDir } = await realImage();
  const origin = await DockerRegistry.start(registryDir);
  t.after(() => origin.stop());
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  const digest = original.digestOf('v1');
  upstream.putManifest(repository, { bytes: original.read(digest), mediaType: ociManifest, digest }, 'v1');
  for (const blob of original.blobs('v1')) upstream.putBlob(repository, original.read(blob));
  upstream.faults.push(status(500, { times: always, only: (path) => fails(path, original) }));
  const entry = { endpoints: [upstream.url], insecure: true, giveUp: '1s' };
  const { port } = await startMirror(t, { config: { upstreams: { 'docker.io': entry } } });
  return { mirror: `127.0.0.1:${port}`, origin, original };
}

const firstLayer = (original: OciLayout) => `/v2/${repository}/blobs/${original.manifest('v1', 'amd64').layers[0]}`;
const failsFirstLayer = (path: string, original: OciLayout) => path === firstLayer(original);
const failsAlways = () => true;

async function startContainerd(t: TestContext): Promise<Containerd> {
  const containerd = await Containerd.start();
  t.after(() => containerd.stop());
  return containerd;
}

/** Copies the image by skopeo, which asks these in order. */
async function copy(mirrors: readonly string[]): Promise<Outcome & { readonly blobs: string }> {
  const layout = join(tempDir(), 'layout');
  const conf = ['--registries-conf', writeRegistriesConf(mirrors)];
  const words = ['copy', '--quiet', `docker://docker.io/${repository}:v1`, `oci:${layout}:v1`];
  return { ...(await attempt(['skopeo', ...conf, ...words])), blobs: join(layout, 'blobs') };
}

test('containerd takes one blob that the mirror cannot get from the registry itself, and the rest from the mirror', {
  skip: lacking([...imagePrograms, ...containerdPrograms], { root: true }),
}, async (t) => {
  const { mirror, origin, original } = await setFallback(t, failsFirstLayer);
  const containerd = await startContainerd(t);
  const hosts = { mirrors: [`http://${mirror}`], server: origin.url };
  const { code, stderr } = await containerd.pull(hosts, `${repository}:v1`);
  assert.equal(code, 0, stderr);
  assert.deepEqual([...new Set(origin.asked)], [`GET ${firstLayer(original)}`]);
  assertSameBlobs(containerd.contentDir, original.closure('v1'), original);
});

test('dockerd turns to the next mirror when one cannot get a blob', {
  skip: lacking([...imagePrograms, ...dockerPrograms], { root: true }),
}, async (t) => {
  const { mirror, origin, original } = await setFallback(t, failsFirstLayer);
  const daemon = await Dockerd.start([`http://${mirror}`, origin.url]);
  t.after(() => daemon.stop());
  await daemon.run(['pull', '--quiet', `${repository}:v1`]);
  assert.ok(origin.asked.includes(`GET ${firstLayer(original)}`));
  assertUnpacked(await daemon.contents(`${repository}:v1`), original.manifest('v1', 'amd64'), original);
});

// So does everything that is made of containers/image: Podman, Buildah, CRI-O.
test('skopeo fails when the mirror cannot get a blob', { skip: lacking(imagePrograms) }, async (t) => {
  const { mirror, origin } = await setFallback(t, failsFirstLayer);
  const { code } = await copy([mirror, origin.authority]);
  assert.equal(code, 1);
  assert.deepEqual(origin.asked, []);
});

test('skopeo turns to the next mirror when one has no manifest', { skip: lacking(imagePrograms) }, async (t) => {
  const { mirror, origin, original } = await setFallback(t, failsAlways);
  const { code, stderr, blobs } = await copy([mirror, origin.authority]);
  assert.equal(code, 0, stderr);
  assertSameBlobs(blobs, original.closure('v1'), original);
});

test('containerd turns to the registry itself when the mirror has no manifest', {
  skip: lacking([...imagePrograms, ...containerdPrograms], { root: true }),
}, async (t) => {
  const { mirror, origin, original } = await setFallback(t, failsAlways);
  const containerd = await startContainerd(t);
  const hosts = { mirrors: [`http://${mirror}`], server: origin.url };
  const { code, stderr } = await containerd.pull(hosts, `${repository}:v1`);
  assert.equal(code, 0, stderr);
  assertSameBlobs(containerd.contentDir, original.closure('v1'), original);
});
