import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lacking } from '../support/lacking.ts';
import { Podman } from '../support/podman.ts';
import { repository } from '../support/real-image.ts';
import { type RealScene, scenePrograms, setRealScene } from '../support/real-scene.ts';
import { writeRegistriesConf } from '../support/registries-conf.ts';
import { assertUnpacked } from '../support/same-content.ts';

const skip = lacking([...scenePrograms, 'podman'], { root: true });

/** Pulls an image into an empty store, which then has to have the original's bytes. */
async function pullAndCompare({ authority, original }: RealScene, tag: string): Promise<void> {
  const podman = new Podman(writeRegistriesConf([authority]));
  const image = `docker.io/${repository}:${tag}`;
  const { code, stderr } = await podman.pull(image);
  assert.equal(code, 0, stderr);
  const manifest = original.manifest(tag, 'amd64');
  assert.ok([manifest.digest, original.digestOf(tag)].map(String).includes(await podman.digestOf(image)));
  assertUnpacked(await podman.contentsOf(image), manifest, original);
}

for (const tokens of [false, true]) {
  const where = tokens ? 'a registry behind tokens' : 'a plain registry';
  test(`podman stores byte for byte what is in ${where}, cold and with the registry stopped`, { skip }, async (t) => {
    const scene = await setRealScene(t, { tokens });
    await pullAndCompare(scene, 'multi');
    await scene.upstream.stop();
    await pullAndCompare(scene, 'multi');
  });
}
