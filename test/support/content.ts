import { randomBytes } from 'node:crypto';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { ociIndex, ociManifest } from '../../src/oci/media-types.ts';
import { emptyConfig, makeReferrer, makeReferrersIndex } from './artifacts.ts';
import { type FixtureManifest, makeImage, makeIndex, manifestOf } from './images.ts';
import type { FakeRegistry } from './registry.ts';

/** Everything that the conformance suite of the distribution specification pushes, and what else registries hold. */
export interface Content {
  /** By tag. */
  readonly manifests: ReadonlyMap<string, FixtureManifest>;
  readonly blobs: ReadonlyMap<Digest, Buffer>;
  /** 2,048 bytes, for the table of ranges. */
  readonly ranged: Buffer;
  /** What the manifests name and the registry does not have: children of a sparse index, layers that come from elsewhere. */
  readonly missing: { readonly manifest: Digest; readonly blob: Digest };
  /** A manifest that others refer to, and these, in order. */
  readonly subject: FixtureManifest;
  readonly referrers: readonly FixtureManifest[];
}

const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** Collects blobs, and describes them. */
class Blobs extends Map<Digest, Buffer> {
  describe(bytes: Buffer, mediaType = layerType, digest = digestOf(bytes)) {
    this.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }
}

/** Makes it, with blobs that no other call makes. */
export function makeContent(): Content {
  const blobs = new Blobs();
  const ranged = randomBytes(2048);
  const image = makeImage(1000, 2000);
  const other = makeImage(3000);
  for (const [digest, bytes] of [...image.blobs, ...other.blobs]) blobs.set(digest, bytes);
  const missing = { manifest: digestOf(randomBytes(8)), blob: digestOf(randomBytes(8)) };
  const index = makeIndex(image, other);
  const subject = image.manifest;
  const referrers = [
    makeReferrer(subject, 'application/vnd.example.signature', '1'),
    makeReferrer(subject, 'application/vnd.example.sbom', '2'),
    describedIndex(subject),
  ];
  blobs.describe(emptyConfig);
  const manifests = new Map<string, FixtureManifest>([
    ['image', image.manifest],
    ['other', other.manifest],
    ['index', index],
    ['nested-index', nestedIndex(index)],
    ['sparse-index', sparseIndex(image.manifest, missing.manifest)],
    ['index-with-subject', referrers[2] ?? index],
    ['artifact', referrers[0] ?? index],
    ['sbom', referrers[1] ?? index],
    ...shapes(blobs, ranged, missing.blob),
    ...artifacts(blobs),
  ]);
  return { manifests, blobs, ranged, missing, subject, referrers };
}

/** Puts it into a repository of a registry, which has the referrers by its API or by a tag. */
export function pushContent(registry: FakeRegistry, repository: string, content: Content, referrersApi: boolean): void {
  for (const [tag, manifest] of content.manifests) registry.putManifest(repository, manifest, tag);
  for (const [digest, bytes] of content.blobs) registry.putBlob(repository, bytes, digest);
  registry.lists.referrers = referrersApi;
  const tag = content.subject.digest.replace(':', '-');
  if (!referrersApi) registry.putManifest(repository, makeReferrersIndex(...content.referrers), tag);
}

function image(json: object): FixtureManifest {
  return manifestOf({ schemaVersion: 2, mediaType: ociManifest, ...json }, ociManifest);
}

function indexOf(json: object, ...children: readonly object[]): FixtureManifest {
  return manifestOf({ schemaVersion: 2, mediaType: ociIndex, manifests: children, ...json }, ociIndex);
}

function pointTo({ mediaType, digest, bytes }: FixtureManifest) {
  return { mediaType, digest, size: bytes.length };
}

const nestedIndex = (index: FixtureManifest) => indexOf({}, pointTo(index));
const describedIndex = (subject: FixtureManifest) =>
  indexOf({ artifactType: 'application/vnd.example.bundle', subject: pointTo(subject) });
const sparseIndex = (there: FixtureManifest, missing: Digest) =>
  indexOf({}, pointTo(there), { mediaType: ociManifest, digest: missing, size: 500 });

/** Images of every shape. */
function shapes(blobs: Blobs, ranged: Buffer, missing: Digest): [string, FixtureManifest][] {
  const config = blobs.describe(
    Buffer.from('{"architecture":"amd64","os":"linux"}'),
    'application/vnd.oci.image.config.v1+json',
  );
  const layer = blobs.describe(ranged);
  const long = randomBytes(5000);
  const longLayer = blobs.describe(long, layerType, digestOf(long, 'sha512'));
  const foreign = {
    mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    digest: missing,
    size: 12_345,
    urls: ['https://elsewhere.test/layer'],
  };
  const data = Buffer.from('in the descriptor');
  const embedded = { ...blobs.describe(data), data: data.toString('base64') };
  const odd = Buffer.from(`{ "schemaVersion" : 2,\n\t"mediaType":"${ociManifest}",  "x-unknown": {"é": [1e3, null]},
    "config":${JSON.stringify({ ...config, 'x-more': true })}, "layers":[ ] , "x-unknown":"twice"}\n\n`);
  const sha512 = image({ config, layers: [], annotations: { by: 'sha512' } });
  return [
    ['ranged', image({ config, layers: [layer] })],
    ['empty-blob', image({ config, layers: [blobs.describe(Buffer.alloc(0))] })],
    ['no-layers', image({ config, layers: [] })],
    ['same-layer-twice', image({ config, layers: [layer, layer] })],
    ['large', image({ config, layers: [layer], annotations: { padding: 'x'.repeat(3_900_000) } })],
    ['unknown-fields', { bytes: odd, mediaType: ociManifest, digest: digestOf(odd) }],
    ['data', image({ config, layers: [embedded] })],
    ['nondistributable', image({ config, layers: [foreign, layer] })],
    ['sha512-layer', image({ config, layers: [longLayer] })],
    ['sha512', { ...sha512, digest: digestOf(sha512.bytes, 'sha512') }],
  ];
}

/** What is no image: charts, artifacts, models. */
function artifacts(blobs: Blobs): [string, FixtureManifest][] {
  const withdrawn = 'application/vnd.oci.artifact.manifest.v1+json';
  const empty = {
    mediaType: 'application/vnd.oci.empty.v1+json',
    digest: digestOf(emptyConfig),
    size: 2,
    data: 'e30=',
  };
  const chart = blobs.describe(randomBytes(4000), 'application/vnd.cncf.helm.chart.content.v1.tar+gzip');
  const chartConfig = blobs.describe(
    Buffer.from('{"name":"chart","version":"1.0.0"}'),
    'application/vnd.cncf.helm.config.v1+json',
  );
  const provenance = blobs.describe(randomBytes(100), 'application/vnd.cncf.helm.chart.provenance.v1.prov');
  const model = blobs.describe(randomBytes(200_000), 'application/vnd.ollama.image.model');
  const file = blobs.describe(randomBytes(10), 'text/plain');
  return [
    ['helm-chart', image({ config: chartConfig, layers: [chart, provenance] })],
    ['oras', image({ artifactType: 'application/vnd.example+type', config: empty, layers: [file] })],
    [
      'model',
      image({ config: blobs.describe(Buffer.from('{"model_format":"gguf"}'), 'text/x-model'), layers: [model] }),
    ],
    ['config-only', image({ artifactType: 'application/vnd.example+type', config: empty, layers: null })],
    [
      'withdrawn-artifact',
      manifestOf({ mediaType: withdrawn, artifactType: 'application/vnd.example+type', blobs: [file] }, withdrawn),
    ],
  ];
}
