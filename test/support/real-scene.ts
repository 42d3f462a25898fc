import type { TestContext } from 'node:test';
import { DockerRegistry, type RegistryOptions } from './docker-registry.ts';
import { startMirror, type TestMirror } from './mirror.ts';
import type { OciLayout } from './oci-layout.ts';
import { realImage } from './real-image.ts';

/** A real registry with real images, and a mirror before it. */
export interface RealScene {
  readonly upstream: DockerRegistry;
  readonly mirror: TestMirror;
  /** Host and port of the mirror, as in a reference. */
  readonly authority: string;
  /** What was pushed. */
  readonly original: OciLayout;
}

/** Starts a registry that has `demo/app:v1` and `demo/app:multi`, and a mirror that knows it as docker.io. Both end with the test. `more`: keys of its configuration. */
export async function setRealScene(
  test: TestContext,
  options: RegistryOptions = {},
  more: object = {},
): Promise<RealScene> {
  const { layout: original, registryDir } = await realImage();
  const upstream = await DockerRegistry.start(registryDir, options);
  test.after(() => upstream.stop());
  const { host = '127.0.0.1' } = options;
  const entry = { endpoints: [upstream.url], insecure: true, privateNetwork: true };
  const config = { listen: `${host}:0`, upstreams: { 'docker.io': entry }, ...more };
  const mirror = await startMirror(test, { config });
  return { upstream, mirror, authority: `${host}:${mirror.port}`, original };
}
