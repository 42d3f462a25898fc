import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainersStorage } from '../support/containers-storage.ts';
import { lacking } from '../support/lacking.ts';
import { imagePrograms, repository } from '../support/real-image.ts';
import { type RealScene, setRealScene } from '../support/real-scene.ts';
import { writeRegistriesConf } from '../support/registries-conf.ts';
import { assertUnpacked } from '../support/same-content.ts';

type ClientName = 'podman' | 'buildah';

/** Pulls an image into an empty store, which then has to have the original's bytes. */
async function pullAndCompare(client: ClientName, { authority, original }: RealScene): Promise<void> {
  const storage = new ContainersStorage(client, writeRegistriesConf([authority]));
  const image = `docker.io/${repository}:multi`;
  const { code, stderr } = await storage.pull(image);
  assert.equal(code, 0, stderr);
  assert.equal(await storage.digest(), original.digestOf('multi'));
  assertUnpacked(await storage.contents(image), original.manifest('multi', 'amd64'), original);
}

const scenes = [
  { client: 'podman', tokens: false, where: 'a plain registry' },
  { client: 'podman', tokens: true, where: 'a registry behind tokens' },
  { client: 'buildah', tokens: true, where: 'a registry behind tokens' },
] as const;

for (const { client, tokens, where } of scenes) {
  const skip = lacking([...imagePrograms, client], { root: true });
  test(`${client} stores byte for byte what is in ${where}, cold and with the registry stopped`, {
    skip,
  }, async (t) => {
    const scene = await setRealScene(t, { tokens });
    await pullAndCompare(client, scene);
    await scene.upstream.stop();
    await pullAndCompare(client, scene);
  });
}
