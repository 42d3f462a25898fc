import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Containerd, containerdPrograms, type Hosts } from '../support/containerd.ts';
import { lacking } from '../support/lacking.ts';
import type { OciLayout } from '../support/oci-layout.ts';
import { imagePrograms, repository } from '../support/real-image.ts';
import { setRealScene } from '../support/real-scene.ts';
import { assertSameBlobs } from '../support/same-content.ts';

const skip = lacking([...imagePrograms, ...containerdPrograms], { root: true });

/** Pulls an index with all its architectures into an empty containerd, which then has to have the original's bytes. */
async function pullAndCompare(t: TestContext, hosts: Hosts, original: OciLayout): Promise<void> {
  const containerd = await Containerd.start();
  t.after(() => containerd.stop());
  const { code, stderr } = await containerd.pull(hosts, `${repository}:multi`);
  assert.equal(code, 0, stderr);
  assertSameBlobs(containerd.contentDir, original.closure('multi'), original);
}

const mirrored = (mirror: string) => ({ mirrors: [mirror] });
// The hosts.toml of containerd 1.6 knows no brackets in the name of a table.
const instead = (mirror: string) => ({ mirrors: [], server: mirror });

const scenes = [
  { where: 'a plain registry', options: {}, hosts: mirrored },
  { where: 'a registry behind tokens', options: { tokens: true }, hosts: mirrored },
  { where: 'a registry at the IPv6 loopback', options: { host: '[::1]' }, hosts: instead },
] as const;

for (const { where, options, hosts } of scenes) {
  test(`containerd gets byte for byte what is in ${where}, cold and with the registry stopped`, { skip }, async (t) => {
    const { upstream, authority, original } = await setRealScene(t, options);
    await pullAndCompare(t, hosts(`http://${authority}`), original);
    await upstream.stop();
    await pullAndCompare(t, hosts(`http://${authority}`), original);
  });
}
