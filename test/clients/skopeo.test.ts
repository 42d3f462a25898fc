import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { makeCertificate } from '../support/certificate.ts';
import { lacking } from '../support/lacking.ts';
import { attempt, run } from '../support/program.ts';
import { imagePrograms, repository } from '../support/real-image.ts';
import { setRealScene } from '../support/real-scene.ts';
import { writeRegistriesConf } from '../support/registries-conf.ts';
import { assertSameBlobs } from '../support/same-content.ts';
import { tempDir } from '../support/temp.ts';

const skip = lacking(imagePrograms);

/** Copies an image with all its architectures through the mirror. @returns the directory of its blobs */
async function pull(mirror: string, tag: string): Promise<string> {
  const layout = join(tempDir(), 'layout');
  const conf = writeRegistriesConf([mirror]);
  const source = `docker://docker.io/${repository}:${tag}`;
  await run(['skopeo', '--registries-conf', conf, 'copy', '--all', '--quiet', source, `oci:${layout}:${tag}`]);
  return join(layout, 'blobs');
}

for (const tokens of [false, true]) {
  const where = tokens ? 'a registry behind tokens' : 'a plain registry';
  test(`skopeo gets byte for byte what is in ${where}, cold and with the registry stopped`, { skip }, async (t) => {
    const { upstream, mirror, authority, original } = await setRealScene(t, { tokens });
    for (const tag of ['v1', 'multi']) assertSameBlobs(await pull(authority, tag), original.closure(tag), original);
    await upstream.stop();
    for (const tag of ['v1', 'multi']) assertSameBlobs(await pull(authority, tag), original.closure(tag), original);
    assert.deepEqual([...new Set(upstream.scopes)], tokens ? [`repository:${repository}:pull`] : []);
    await mirror.close();
    assertSameBlobs(join(mirror.dataDir, 'blobs'), original.blobs('multi'), original);
  });
}

test('skopeo logs in at the mirror, over TLS', { skip }, async (t) => {
  const { key, certificateFile: cert } = makeCertificate('localhost');
  const [keyFile, htpasswd] = [join(tempDir(), 'tls.key'), join(tempDir(), 'htpasswd')];
  writeFileSync(keyFile, key);
  writeFileSync(htpasswd, `node:${hashSync('secret', 5)}\n`);
  const config = { tls: { cert, key: keyFile }, clients: { htpasswd } };
  const { mirror, original } = await setRealScene(t, {}, config);
  const certificates = tempDir();
  copyFileSync(cert, join(certificates, 'ca.crt'));
  const copy = (password: string, target: string) => {
    const source = `docker://localhost:${mirror.port}/docker.io/${repository}:v1`;
    const login = ['--src-cert-dir', certificates, '--src-creds', `node:${password}`];
    return attempt(['skopeo', 'copy', '--quiet', ...login, source, `oci:${target}:v1`]);
  };
  const layout = join(tempDir(), 'layout');
  const { code, stderr } = await copy('secret', layout);
  assert.equal(code, 0, stderr);
  assertSameBlobs(join(layout, 'blobs'), original.closure('v1'), original);
  const refused = await copy('wrong', join(tempDir(), 'nothing'));
  assert.match(refused.stderr, /authentication required|unauthorized/);
});
