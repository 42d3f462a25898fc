import { createHash } from 'node:crypto';
import { demand } from './ask.ts';
import { Content } from './content.ts';

/** Where an image is, on any server that has it or mirrors it. */
export interface Image {
  /** The path of the manifest, by digest. */
  readonly manifestPath: string;
  /** The paths of the layers. */
  readonly layerPaths: readonly string[];
}

/** The media type of the manifests, as clients accept it. */
export const manifestType = 'application/vnd.oci.image.manifest.v1+json';

/** What can be pushed. */
export interface Pushed {
  readonly size: number;
  /** `sha256:…` */
  readonly digest: string;
  pieces(): Iterable<Buffer>;
}

/** What may be different about an image. */
export interface ImageOptions {
  /** Default: something that nobody can read. */
  readonly config?: Pushed;
  /** The media type of the layers. */
  readonly layerType?: string;
}

/** Pushes an image of these layers to a registry, by the registry's own API. */
export async function pushImage(
  port: number,
  repository: string,
  layers: readonly Pushed[],
  { config = new Content(1024), layerType = 'application/vnd.oci.image.layer.v1.tar+gzip' }: ImageOptions = {},
): Promise<Image> {
  for (const content of [config, ...layers]) await pushBlob(port, repository, content);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: descriptor('application/vnd.oci.image.config.v1+json', config),
      layers: layers.map((layer) => descriptor(layerType, layer)),
    }),
  );
  const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
  const manifestPath = `/v2/${repository}/manifests/${digest}`;
  const headers = { 'content-type': manifestType, 'content-length': manifest.length };
  await demand(201, { port, method: 'PUT', path: manifestPath, headers, body: [manifest] });
  return { manifestPath, layerPaths: layers.map((layer) => `/v2/${repository}/blobs/${layer.digest}`) };
}

/** Fetches a manifest, as a node does before it asks for layers. */
export async function fetchManifest(port: number, { manifestPath }: Image): Promise<void> {
  await demand(200, { port, method: 'GET', path: manifestPath, headers: { accept: manifestType } });
}

function descriptor(mediaType: string, { digest, size }: Pushed): object {
  return { mediaType, digest, size };
}

async function pushBlob(port: number, repository: string, content: Pushed): Promise<void> {
  const begun = await demand(202, { port, method: 'POST', path: `/v2/${repository}/blobs/uploads/` });
  const target = new URL(begun.headers.location ?? '', `http://127.0.0.1:${port}`);
  target.searchParams.set('digest', content.digest);
  await demand(201, {
    port,
    method: 'PUT',
    path: target.pathname + target.search,
    headers: { 'content-type': 'application/octet-stream', 'content-length': content.size },
    body: content.pieces(),
  });
}
