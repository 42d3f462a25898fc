import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { ociIndex } from '../../src/oci/media-types.ts';
import { type ClientAnswer, type ClientRequest, fetchRaw } from '../support/client.ts';
import type { Content } from '../support/content.ts';
import type { FixtureManifest } from '../support/images.ts';
import { assertParts } from '../support/multipart.ts';

/** A registry that has all of the content in one repository. */
export interface Place {
  /** Without the `/v2/`. */
  readonly url: string;
  /** The repository, as a client calls it. */
  readonly repository: string;
  readonly content: Content;
  close(): Promise<void>;
}

const unknown = digestOf(Buffer.from('that nobody has'));

const ranges: readonly (readonly [range: string, status: number, first: number, end: number])[] = [
  ['500-1499', 206, 500, 1500],
  ['500-', 206, 500, 2048],
  ['-500', 206, 1548, 2048],
  ['2000-5000', 206, 2000, 2048],
  ['500-0', 416, 0, 0],
  ['5000-10000', 416, 0, 0],
];

function assertError(answer: ClientAnswer, statuses: readonly number[], ...codes: readonly string[]): void {
  assert.ok(statuses.includes(answer.status), String(answer.status));
  assert.equal(answer.headers['content-type'], 'application/json');
  const { errors } = JSON.parse(answer.body.toString());
  assert.ok(codes.includes(errors[0].code), errors[0].code);
  assert.match(errors[0].code, /^[A-Z_]+$/);
}

function assertContent(answer: ClientAnswer, bytes: Buffer, digest: Digest, type: string, method = 'GET'): void {
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], type);
  assert.equal(answer.headers['content-length'], String(bytes.length));
  assert.equal(answer.headers['docker-content-digest'], digest);
  assert.equal(answer.headers['etag'], `"${digest}"`);
  assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0');
  assert.ok(answer.body.equals(method === 'HEAD' ? Buffer.alloc(0) : bytes));
}

/**
 * The read side of the conformance suite of the distribution specification (v1.1.1, and the one after it), with the
 * bodies and the ranges that it only looks at where it has pushed them itself. `place` makes a registry for all of it.
 */
export function registryConformance(name: string, place: () => Promise<Place>): void {
  let opened: Place | undefined;
  before(async () => {
    opened = await place();
  });
  after(() => opened?.close());

  const registryTest: RegistryTest = (sentence, check) =>
    void test(`${name}: ${sentence}`, async () => {
      assert.ok(opened);
      await check(new RegistryClient(opened));
    });

  registryTest('/v2/ says that this is a registry', async ({ place: { url } }) => {
    for (const path of ['/v2/', '/v2']) assert.equal((await fetchRaw(`${url}${path}`)).status, 200);
  });

  registryTest('a manifest is there by tag and by digest, HEAD and GET, byte for byte', async (registry) => {
    const manifests = [...registry.content.manifests];
    const asked = manifests.flatMap(([tag, each]) => [tag, each.digest].map((reference) => ({ reference, each })));
    for (const { reference, each } of asked) {
      for (const method of ['HEAD', 'GET', 'HEAD']) {
        const answer = await registry.ask(`manifests/${reference}`, { method });
        assertContent(answer, each.bytes, each.digest, each.mediaType, method);
      }
    }
  });

  registryTest('a blob is there, HEAD and GET', async (registry) => {
    for (const [digest, bytes] of registry.content.blobs) {
      for (const method of ['HEAD', 'GET', 'HEAD']) {
        const answer = await registry.ask(`blobs/${digest}`, { method });
        assertContent(answer, bytes, digest, 'application/octet-stream', method);
        assert.equal(answer.headers['accept-ranges'], 'bytes');
      }
    }
  });

  registryTest('what the client has already is not sent again', async (registry) => {
    const { digest } = registry.content.subject;
    const answer = await registry.ask(`manifests/${digest}`, { headers: { 'if-none-match': `"${digest}"` } });
    assert.deepEqual([answer.status, answer.body.length], [304, 0]);
  });

  for (const [range, status, first, end] of ranges) {
    registryTest(`the range ${range} of 2,048 bytes is ${status}`, async (registry) => {
      const { ranged } = registry.content;
      const answer = await registry.ask(`blobs/${digestOf(ranged)}`, { headers: { range: `bytes=${range}` } });
      assert.equal(answer.status, status);
      assert.equal(answer.headers['content-range'], status === 416 ? 'bytes */2048' : `bytes ${first}-${end - 1}/2048`);
      if (status === 206) assert.equal(answer.headers['content-length'], String(end - first));
      if (status === 206) assert.ok(answer.body.equals(ranged.subarray(first, end)));
    });
  }

  registryTest('several ranges are one part each', async (registry) => {
    const { ranged } = registry.content;
    const answer = await registry.ask(`blobs/${digestOf(ranged)}`, { headers: { range: 'bytes=0-9,20-29,2000-' } });
    assertParts(answer, ranged, [
      [0, 10],
      [20, 30],
      [2000, 2048],
    ]);
  });

  listsConformance(registryTest);
  errorsConformance(registryTest);
}

type RegistryTest = (sentence: string, check: (registry: RegistryClient) => Promise<void>) => void;

function listsConformance(registryTest: RegistryTest): void {
  registryTest('every tag is listed, in order, and behind any other', async (registry) => {
    const all = await registry.tags('');
    assert.deepEqual(all, all.toSorted());
    for (const tag of registry.content.manifests.keys()) assert.ok(all.includes(tag), tag);
    const [first = '', second = ''] = all;
    assert.deepEqual(await registry.tags('?n=2'), [first, second]);
    assert.deepEqual(await registry.tags(`?n=2&last=${first}`), all.slice(1, 3));
    assert.deepEqual(await registry.tags(`?last=${second}`), all.slice(2));
    assert.deepEqual(await registry.tags('?n=0'), []);
  });

  registryTest('a repository without tags has an empty list, or is unknown', async ({ place: { url, repository } }) => {
    const answer = await fetchRaw(`${url}/v2/${repository}-without-tags/tags/list`);
    if (answer.status === 200) assert.deepEqual(JSON.parse(answer.body.toString()).tags, []);
    else assertError(answer, [404], 'NAME_UNKNOWN');
  });

  registryTest('what nothing refers to has an empty index of referrers', async (registry) => {
    assert.deepEqual(await registry.referrers(unknown), []);
  });

  registryTest('what refers to a manifest is in its index of referrers', async (registry) => {
    const { subject, referrers } = registry.content;
    assert.deepEqual(await registry.referrers(subject.digest), referrers.map(({ digest }) => digest).toSorted());
  });

  registryTest('referrers of one type are listed alone, and it is said that they are', async (registry) => {
    const { subject, referrers } = registry.content;
    const type = 'application/vnd.example.sbom';
    assert.deepEqual(await registry.referrers(subject.digest, type), [referrers[1]?.digest]);
  });
}

function errorsConformance(registryTest: RegistryTest): void {
  registryTest('what is not there is 404, HEAD and GET', async (registry) => {
    const { missing } = registry.content;
    for (const path of ['manifests/no-such-tag', `manifests/${unknown}`, `manifests/${missing.manifest}`]) {
      assertError(await registry.ask(path), [404], 'MANIFEST_UNKNOWN');
      assert.equal((await registry.ask(path, { method: 'HEAD' })).status, 404);
    }
    for (const path of [`blobs/${unknown}`, `blobs/${missing.blob}`]) {
      assertError(await registry.ask(path), [404], 'BLOB_UNKNOWN');
      assert.equal((await registry.ask(path, { method: 'HEAD' })).status, 404);
    }
  });

  registryTest('a digest that is none is refused', async (registry) => {
    for (const digest of ['sha256:totallywrong', 'sha256:baddigeststring', `sha512:${'a'.repeat(64)}`]) {
      for (const kind of ['manifests', 'blobs', 'referrers']) {
        assertError(await registry.ask(`${kind}/${digest}`), [400], 'DIGEST_INVALID');
      }
    }
  });

  registryTest('everything that writes is refused', async (registry) => {
    const writes = [
      ['POST', 'blobs/uploads/'],
      ['PUT', 'manifests/new'],
      ['DELETE', 'manifests/image'],
      ['DELETE', `blobs/${unknown}`],
      ['PATCH', 'blobs/uploads/1'],
    ] as const;
    for (const [method, path] of writes) {
      const answer = await registry.ask(path, { method });
      assertError(answer, [405], 'UNSUPPORTED');
      assert.equal(answer.headers['allow'], 'GET, HEAD');
    }
    assert.equal((await registry.ask('manifests/image')).status, 200);
  });
}

/** Asks for what is in the repository. */
class RegistryClient {
  readonly place: Place;

  constructor(place: Place) {
    this.place = place;
  }

  get content(): Content {
    return this.place.content;
  }

  ask(path: string, request: ClientRequest = {}): Promise<ClientAnswer> {
    const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';
    const headers = { accept, ...request.headers };
    return fetchRaw(`${this.place.url}/v2/${this.place.repository}/${path}`, { ...request, headers });
  }

  async tags(query: string): Promise<string[]> {
    const answer = await this.ask(`tags/list${query}`);
    assert.equal(answer.status, 200);
    const { name, tags } = JSON.parse(answer.body.toString());
    assert.equal(name, this.place.repository);
    return tags;
  }

  async referrers(digest: Digest, type?: string): Promise<string[]> {
    const query = type === undefined ? '' : `?artifactType=${encodeURIComponent(type)}`;
    const answer = await this.ask(`referrers/${digest}${query}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], ociIndex);
    assert.equal(answer.headers['oci-filters-applied'], type === undefined ? undefined : 'artifactType');
    const { schemaVersion, mediaType, manifests } = JSON.parse(answer.body.toString());
    assert.deepEqual([schemaVersion, mediaType], [2, ociIndex]);
    return manifests.map((each: FixtureManifest) => each.digest).toSorted();
  }
}
