import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { ociManifest } from '../../src/oci/media-types.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { type FixtureManifest, manifestOf } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { setScene } from '../support/scene.ts';

const days = 24 * 60 * 60_000;

/** A signature as cosign keeps it: an image of its own, whose layer says what is signed. */
function makeSignature({ digest }: FixtureManifest): { readonly manifest: FixtureManifest; readonly blobs: Buffer[] } {
  const payload = Buffer.from(JSON.stringify({ critical: { image: { 'docker-manifest-digest': digest } } }));
  const config = Buffer.from('{"architecture":"","os":"","config":{}}');
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
  const layer = describe('application/vnd.dev.cosign.simplesigning.v1+json', payload);
  const json = {
    schemaVersion: 2,
    mediaType: ociManifest,
    config: describe('application/vnd.oci.image.config.v1+json', config),
    layers: [{ ...layer, annotations: { 'dev.cosignproject.cosign/signature': 'MEUCIQ==' } }],
  };
  return { manifest: manifestOf(json, ociManifest), blobs: [config, payload] };
}

test('a signature under a tag of its own is served as the image is: stale while the upstream is down, after a restart too', async (t) => {
  const clock = new FakeClock();
  const { upstream, mirror, image } = await setScene(t, { mirror: { clock } });
  const signature = makeSignature(image.manifest);
  const tag = `${image.manifest.digest.replace(':', '-')}.sig`;
  upstream.putManifest('team/app', signature.manifest, tag);
  for (const bytes of signature.blobs) upstream.putBlob('team/app', bytes);
  const verify = async (base: string, stale: boolean) => {
    const at = (path: string) => fetchRaw(`${base}/v2/team/app/${path}`);
    for (const [name, { bytes, digest, mediaType }] of [
      ['v1', image.manifest],
      [tag, signature.manifest],
    ] as const) {
      const { status, body, headers } = await at(`manifests/${name}`);
      assert.deepEqual([status, body], [200, bytes], name);
      assert.deepEqual([headers['docker-content-digest'], headers['content-type']], [digest, mediaType]);
      if (stale) assert.match(String(headers['warning']), /^299 - "[^"]*"$/, name);
      else assert.equal(headers['warning'], undefined, name);
    }
    for (const bytes of [...signature.blobs, ...image.blobs.values()]) {
      const blob = await at(`blobs/${digestOf(bytes)}`);
      assert.ok(blob.status === 200 && blob.complete && blob.body.equals(bytes));
    }
  };
  await verify(mirror.url, false);
  await upstream.close();
  clock.advance(3 * days);
  await verify(mirror.url, true);
  await mirror.close();
  const again = await startMirror(t, { clock, dataDir: mirror.dataDir, config: upstreamConfig(upstream.url) });
  await verify(again.url, true);
});
