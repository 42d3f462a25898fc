import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Dockerd, dockerPrograms } from '../support/dockerd.ts';
import { lacking } from '../support/lacking.ts';
import { imagePrograms, repository } from '../support/real-image.ts';
import { type RealScene, setRealScene } from '../support/real-scene.ts';
import { assertUnpacked } from '../support/same-content.ts';

// Debian 12 has Docker 20.10. The other image store, containerd's, comes with Docker 23; it asks as containerd does, whose
// tests are beside this one.
const skip = lacking([...imagePrograms, ...dockerPrograms], { root: true });

/** Pulls an image into an empty daemon, which then has to have the original's bytes. */
async function pullAndCompare(t: TestContext, { authority, original }: RealScene): Promise<void> {
  const daemon = await Dockerd.start([`http://${authority}`]);
  t.after(() => daemon.stop());
  const image = `${repository}:multi`;
  await daemon.run(['pull', '--quiet', image]);
  const digests = await daemon.run(['image', 'inspect', '--format', '{{join .RepoDigests " "}}', image]);
  assert.equal(digests.trim(), `${repository}@${original.digestOf('multi')}`);
  assertUnpacked(await daemon.contents(image), original.manifest('multi', 'amd64'), original);
}

for (const tokens of [false, true]) {
  const where = tokens ? 'a registry behind tokens' : 'a plain registry';
  test(`dockerd stores byte for byte what is in ${where}, cold and with the registry stopped`, { skip }, async (t) => {
    const scene = await setRealScene(t, { tokens });
    await pullAndCompare(t, scene);
    await scene.upstream.stop();
    await pullAndCompare(t, scene);
  });
}
