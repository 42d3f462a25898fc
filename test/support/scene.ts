import assert from 'node:assert/strict';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from './client.ts';
import { type FixtureImage, makeImage } from './images.ts';
import { type Ends, type MirrorOptions, startMirror, type TestMirror, upstreamConfig } from './mirror.ts';
import { FakeRegistry } from './registry.ts';

/** A registry that has an image, and a mirror before it. */
export interface Scene {
  readonly upstream: FakeRegistry;
  readonly mirror: TestMirror;
  readonly image: FixtureImage;
  /** The first layer. */
  readonly layer: Buffer;
  /** Where the mirror has the first layer. */
  readonly layerUrl: string;
  /** Where the mirror has the image, by its tag. */
  readonly manifestUrl: string;
  /** Where the mirror has a blob of the image's repository. */
  blobUrl(digest: Digest): string;
}

/** What a test wants to be different. */
export interface SceneOptions {
  /** Sizes of the layers in bytes. Default: one of 3 MB. */
  readonly layers?: readonly number[];
  /** Keys of the upstream's configuration. */
  readonly upstream?: object;
  /** Other keys of the configuration. */
  readonly config?: object;
  readonly mirror?: Pick<MirrorOptions, 'clock' | 'dataDir'>;
}

/** Starts a registry that has `team/app:v1`, and a mirror of it. Both end with the test. */
export async function setScene(test: Ends, options: SceneOptions = {}): Promise<Scene> {
  const upstream = await FakeRegistry.start();
  test.after(() => upstream.close());
  const image = makeImage(...(options.layers ?? [3_000_000]));
  upstream.push('team/app', 'v1', image);
  const config = { ...upstreamConfig(upstream.url, options.upstream), ...options.config };
  const mirror = await startMirror(test, { ...options.mirror, config });
  const blobUrl = (digest: Digest) => `${mirror.url}/v2/team/app/blobs/${digest}`;
  const [layer = Buffer.alloc(0)] = image.layers;
  const manifestUrl = `${mirror.url}/v2/team/app/manifests/v1`;
  return { upstream, mirror, image, layer, layerUrl: blobUrl(digestOf(layer)), manifestUrl, blobUrl };
}

/** Pulls the image, manifest and blobs, as a client does. */
export async function pullAll({ manifestUrl, image, blobUrl }: Scene): Promise<void> {
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  for (const [digest, bytes] of image.blobs) assert.ok((await fetchRaw(blobUrl(digest))).body.equals(bytes));
}
