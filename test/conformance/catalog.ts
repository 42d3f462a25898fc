import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Catalog, Evictable, PieceRecord, RepositoryName } from '../../src/catalog/catalog.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import type { Descriptor } from '../../src/oci/manifest.ts';
import { chunkSize } from '../../src/storage/driver.ts';

/** Opens one place: again and again, as a process that is started anew does, but never twice at once. */
export type OpenCatalog = () => Catalog;

const digestAt = (index: number): Digest => digestOf(Buffer.from(`content ${index}`));
const [one, two, three] = [digestAt(1), digestAt(2), digestAt(3)];
const unasked = digestAt(99);
/** Seen by everybody. */
const seen = (at: number) => ({ at, login: false });
const app: RepositoryName = { upstream: 'up.test', name: 'team/app' };
const elsewhere: readonly RepositoryName[] = [
  { upstream: 'up.test', name: 'team/other' },
  { upstream: 'other.test', name: 'team/app' },
  { upstream: 'up.test/team', name: 'app' },
];

const descriptor = (digest: Digest, size: number): Descriptor => ({ digest, size, mediaType: 'application/x' });
const manifestAt = (index: number) => ({
  digest: digestAt(index),
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  bytes: Buffer.from(`manifest ${index} \0 é`),
});

/** Keeps something that came a while ago and was used just now; returns what it is when it is to go. */
function keep(catalog: Catalog, index: number, { bytes, usedAt, partial }: Kept): Evictable {
  const digest = digestAt(index);
  if (!partial) {
    catalog.blobs.add({ digest, size: bytes, usedAt: 0 }, new Uint32Array());
    catalog.blobs.touch(digest, usedAt);
    return { digest, name: undefined, bytes, usedAt };
  }
  const name = `partial ${index}`;
  for (const at of [0, usedAt]) catalog.partials.put({ name, upstream: 'u', digest, size: 5000, usedAt: at });
  if (bytes > 0) catalog.partials.record(name, [0], [{ start: 5, end: 5 + bytes, crc: 1 }]);
  return { digest, name, bytes, usedAt };
}

interface Kept {
  readonly bytes: number;
  readonly usedAt: number;
  readonly partial: boolean;
}

/** Repositories that are known, and have nothing of what is asked about. */
function know(catalog: Pick<Catalog, 'manifests'>): void {
  for (const each of elsewhere) {
    catalog.manifests.grant(each, unasked, seen(100));
    catalog.manifests.grantBlob(each, unasked, 5, seen(100));
  }
}

/** What every `Catalog` does. `place` makes an empty place for each test. */
export function catalogConformance(name: string, place: () => OpenCatalog): void {
  const catalogTest = (sentence: string, check: (catalog: Catalog) => void) =>
    test(`${name}: ${sentence}`, () => {
      const catalog = place()();
      try {
        check(catalog);
      } finally {
        catalog.close();
      }
    });

  catalogTest('a blob is what was added last, until it is removed', ({ blobs }) => {
    assert.equal(blobs.find(one), undefined);
    blobs.add({ digest: one, size: 7, usedAt: 100 }, Uint32Array.of(1));
    blobs.add({ digest: one, size: Number.MAX_SAFE_INTEGER, usedAt: 200 }, Uint32Array.of(0, 2 ** 32 - 1));
    assert.deepEqual(blobs.find(one), { digest: one, size: Number.MAX_SAFE_INTEGER, usedAt: 200 });
    assert.deepEqual(blobs.checksums(one), Uint32Array.of(0, 2 ** 32 - 1));
    assert.deepEqual(blobs.digests(), [one]);
    blobs.remove(one);
    blobs.remove(two);
    assert.deepEqual([blobs.find(one), blobs.digests(), blobs.checksums(one)], [undefined, [], new Uint32Array()]);
  });

  catalogTest('a use is seen at once, and a use of what is not there is nothing', (catalog) => {
    catalog.blobs.add({ digest: one, size: 7, usedAt: 100 }, Uint32Array.of(1));
    catalog.blobs.touch(one, 300);
    catalog.blobs.touch(two, 300);
    assert.equal(catalog.blobs.find(one)?.usedAt, 300);
    catalog.flush();
    assert.equal(catalog.blobs.find(one)?.usedAt, 300);
    assert.equal(catalog.blobs.find(two), undefined);
  });

  catalogTest('a blob that is removed and comes back has only its new uses', (catalog) => {
    catalog.blobs.add({ digest: one, size: 7, usedAt: 100 }, Uint32Array.of(1));
    catalog.blobs.touch(one, 900);
    catalog.blobs.remove(one);
    catalog.blobs.add({ digest: one, size: 7, usedAt: 200 }, Uint32Array.of(1));
    catalog.flush();
    assert.equal(catalog.blobs.find(one)?.usedAt, 200);
  });

  catalogTest('unfinished content is found by upstream, digest and size together', ({ partials }) => {
    const partial = { name: 'a', upstream: 'up.test', digest: one, size: 100, usedAt: 1 };
    partials.put(partial);
    partials.put({ ...partial, name: 'b', size: 101 });
    partials.put({ ...partial, usedAt: 2 });
    assert.deepEqual(partials.find('up.test', one, 100), { ...partial, usedAt: 2 });
    assert.equal(partials.find('up.test', one, 101)?.name, 'b');
    for (const [upstream, digest, size] of [
      ['other.test', one, 100],
      ['up.test', two, 100],
      ['up.test', one, 99],
    ] as const) {
      assert.equal(partials.find(upstream, digest, size), undefined);
    }
    assert.deepEqual(
      partials
        .list()
        .map((each) => each.name)
        .toSorted(),
      ['a', 'b'],
    );
    partials.remove('a');
    partials.remove('a');
    assert.deepEqual(
      partials.list().map((each) => each.name),
      ['b'],
    );
  });

  catalogTest('the pieces of a chunk are replaced together, and those of others stay', ({ partials }) => {
    const piece = (start: number, length = 100): PieceRecord => ({
      start,
      end: start + length,
      crc: (start * 7) % 2 ** 32,
    });
    for (const each of ['a', 'b']) {
      partials.put({ name: each, upstream: each, digest: one, size: 10 * chunkSize, usedAt: 1 });
      partials.record(each, [0, 1, 2], [piece(2 * chunkSize), piece(0), piece(500), piece(chunkSize, chunkSize)]);
    }
    assert.deepEqual(partials.pieces('a'), [piece(0), piece(500), piece(chunkSize, chunkSize), piece(2 * chunkSize)]);
    partials.record('a', [0, 2, 3], [piece(200), piece(3 * chunkSize)]);
    assert.deepEqual(partials.pieces('a'), [piece(200), piece(chunkSize, chunkSize), piece(3 * chunkSize)]);
    assert.equal(partials.pieces('b').length, 4);
    partials.remove('a');
    assert.deepEqual([partials.pieces('a'), partials.pieces('b').length], [[], 4]);
    partials.put({ name: 'a', upstream: 'a', digest: one, size: 10 * chunkSize, usedAt: 1 });
    assert.deepEqual(partials.pieces('a'), []);
  });

  test(`${name}: what was used least recently comes first, blobs and unfinished content alike, and all of it is summed`, () => {
    const kept = fc.record({ bytes: fc.nat(1000), usedAt: fc.nat(1000), partial: fc.boolean() });
    const uses = fc.uniqueArray(kept, { selector: ({ usedAt }) => usedAt, maxLength: 10 });
    fc.assert(
      fc.property(uses, fc.nat(12), (all, limit) => {
        const catalog = place()();
        const expected = all.map((each, index) => keep(catalog, index, each));
        catalog.flush();
        const sorted = expected.toSorted((a, b) => a.usedAt - b.usedAt);
        assert.deepEqual(catalog.usage.oldest(limit), sorted.slice(0, limit));
        assert.equal(catalog.usage.latest(), sorted.at(-1)?.usedAt ?? 0);
        const left = expected.reduce((sum, { bytes }) => sum + bytes, 0);
        assert.equal(catalog.usage.bytes(), left);
        for (const { name: partial, digest } of expected) {
          if (partial === undefined) catalog.blobs.remove(digest);
          else catalog.partials.remove(partial);
        }
        assert.equal(catalog.usage.bytes(), 0);
        catalog.close();
      }),
      { numRuns: 8 },
    );
  });

  catalogTest('what is recorded anew is counted once', ({ blobs, partials, usage }) => {
    for (const bytes of [10, 30]) blobs.add({ digest: one, size: bytes, usedAt: 0 }, new Uint32Array());
    partials.put({ name: 'a', upstream: 'u', digest: two, size: 5000, usedAt: 1 });
    for (const end of [100, 50]) partials.record('a', [0], [{ start: 0, end, crc: 1 }]);
    assert.deepEqual([usage.bytes(), partials.bytes('a'), partials.bytes('b')], [80, 50, 0]);
  });

  catalogTest('what takes more than is recorded counts for that, and never for more than its size', (catalog) => {
    const { partials, usage } = catalog;
    const counted = () => [partials.bytes('a'), usage.bytes()];
    const record = (chunk: number, end: number) =>
      partials.record('a', [chunk], [{ start: chunk * chunkSize, end: chunk * chunkSize + end, crc: 1 }]);
    partials.put({ name: 'a', upstream: 'u', digest: two, size: chunkSize + 1000, usedAt: 1 });
    record(1, 100);
    partials.measure('a', 60);
    assert.deepEqual(counted(), [100, 100]);
    partials.measure('a', 700);
    assert.deepEqual(counted(), [700, 700]);
    record(1, 1000);
    assert.deepEqual(counted(), [1600, 1600]);
    record(0, chunkSize);
    assert.deepEqual(counted(), [chunkSize + 1000, chunkSize + 1000]);
    partials.measure('a', 3 * chunkSize);
    assert.deepEqual(counted(), [chunkSize + 1000, chunkSize + 1000]);
    partials.remove('a');
    assert.equal(usage.bytes(), 0);
  });

  catalogTest('a manifest goes with the last of its blobs, an index with the last of its manifests', (catalog) => {
    const { blobs, manifests, partials, tags } = catalog;
    const [index, first, second, layer] = [digestAt(10), digestAt(11), digestAt(12), digestAt(13)];
    const put = (digest: Digest, children: readonly Digest[], layers: readonly Digest[]) => {
      const contents = {
        manifests: children.map((each) => descriptor(each, 1)),
        blobs: layers.map((each) => descriptor(each, 1)),
      };
      manifests.add({ ...manifestAt(1), digest }, contents);
      manifests.grant(app, digest, seen(1));
    };
    put(index, [first, second], []);
    put(first, [], [one, layer]);
    put(second, [], [two, layer]);
    tags.put(app, 'v1', { digest: index, checkedAt: 1 });
    manifests.grantBlob(app, three, 1, seen(1));
    for (const digest of [one, two]) blobs.add({ digest, size: 1, usedAt: 0 }, new Uint32Array());
    partials.put({ name: 'a', upstream: 'u', digest: layer, size: 1, usedAt: 0 });
    const never = () => false;
    blobs.remove(one);
    assert.deepEqual([manifests.abandon(one, never), manifests.abandon(three, never)], [[], []]);
    assert.equal(manifests.claim(app, three), undefined);
    assert.deepEqual([manifests.owner(layer), manifests.owner(three)], [app, undefined]);
    partials.remove('a');
    assert.deepEqual(
      manifests.abandon(layer, (digest) => digest === one),
      [],
    );
    assert.deepEqual(manifests.abandon(layer, never), [first]);
    assert.deepEqual([manifests.find(first), manifests.granted(app, first)], [undefined, false]);
    assert.deepEqual([manifests.granted(app, index), tags.find(app, 'v1')?.digest], [true, index]);
    blobs.remove(two);
    assert.deepEqual(manifests.abandon(two, never), [second, index]);
    assert.deepEqual([manifests.find(index), tags.find(app, 'v1')], [undefined, undefined]);
  });

  catalogTest('a pinned image is all that it names, as its tag is now', ({ manifests, pins, tags }) => {
    const contents = { manifests: [descriptor(two, 1)], blobs: [] };
    manifests.add(manifestAt(1), contents);
    manifests.add(manifestAt(2), { manifests: [], blobs: [descriptor(three, 1)] });
    const pin = { repository: app, reference: 'v1' };
    pins.add(pin);
    pins.add(pin);
    assert.deepEqual([pins.list(), pins.contents().has(one)], [[pin], false]);
    tags.put(app, 'v1', { digest: one, checkedAt: 1 });
    assert.deepEqual(pins.contents(), new Set([one, two, three]));
    tags.put(app, 'v1', { digest: two, checkedAt: 1 });
    assert.deepEqual(pins.contents(), new Set([two, three]));
    pins.add({ repository: app, reference: one });
    assert.deepEqual([pins.remove(pin), pins.remove(pin)], [true, false]);
    assert.deepEqual(pins.contents(), new Set([one, two, three]));
  });

  catalogTest('a manifest is kept byte for byte, and as it came first', ({ manifests }) => {
    const manifest = manifestAt(1);
    assert.equal(manifests.find(one), undefined);
    manifests.add(manifest, { manifests: [], blobs: [descriptor(two, 1), descriptor(two, 1)] });
    manifests.add(manifest, { manifests: [], blobs: [descriptor(two, 1), descriptor(two, 1)] });
    assert.deepEqual(manifests.find(one), manifest);
  });

  catalogTest('who has a manifest is known for each repository alone', ({ manifests }) => {
    know({ manifests });
    manifests.add(manifestAt(1), { manifests: [], blobs: [] });
    assert.equal(manifests.granted(app, one), false);
    manifests.grant(app, one, seen(100));
    manifests.grant(app, one, seen(200));
    assert.equal(manifests.granted(app, one), true);
    for (const other of elsewhere) assert.equal(manifests.granted(other, one), false);
    assert.equal(manifests.granted(app, two), false);
  });

  catalogTest(
    'when the upstream last said that a repository has something is known for each alone',
    ({ manifests }) => {
      know({ manifests });
      const now = 1000;
      assert.equal(manifests.seen({ upstream: 'nowhere.test', name: 'app' }, now), undefined);
      manifests.grant(app, one, seen(200));
      manifests.grantBlob(app, two, 1, seen(300));
      manifests.grant(app, two, seen(250));
      assert.deepEqual(manifests.seen(app, now), seen(300));
      manifests.grant(app, one, { at: 400, login: true });
      assert.deepEqual(manifests.seen(app, now), { at: 400, login: true });
      assert.deepEqual(manifests.seen(app, 350), seen(300));
      assert.deepEqual(manifests.seen(app, 100), { at: 400, login: true });
      for (const other of elsewhere) assert.ok((manifests.seen(other, now)?.at ?? 0) < 200);
    },
  );

  catalogTest(
    'a repository may read a blob when a manifest that it has names it, with the size that is said there',
    ({ manifests }) => {
      know({ manifests });
      manifests.add(manifestAt(1), { manifests: [descriptor(three, 9)], blobs: [descriptor(two, 7)] });
      assert.equal(manifests.claim(app, two), undefined);
      manifests.grant(app, one, seen(100));
      assert.deepEqual(manifests.claim(app, two), { size: 7 });
      // An index names manifests, not blobs; and a manifest is no blob of its own.
      for (const digest of [one, three]) assert.equal(manifests.claim(app, digest), undefined);
      for (const other of elsewhere) assert.equal(manifests.claim(other, two), undefined);
    },
  );

  catalogTest('manifests that disagree about the size of a blob say nothing about it', ({ manifests }) => {
    manifests.add(manifestAt(1), { manifests: [], blobs: [descriptor(three, 7)] });
    manifests.add(manifestAt(2), { manifests: [], blobs: [descriptor(three, 8)] });
    manifests.grant(app, one, seen(100));
    assert.deepEqual(manifests.claim(app, three), { size: 7 });
    manifests.grant(app, two, seen(100));
    assert.deepEqual(manifests.claim(app, three), { size: undefined });
  });

  catalogTest('nor does one that disagrees with itself', ({ manifests }) => {
    manifests.add(manifestAt(1), {
      manifests: [],
      blobs: [descriptor(two, 7), descriptor(two, 8), descriptor(three, 0)],
    });
    manifests.grant(app, one, seen(100));
    assert.deepEqual(manifests.claim(app, two), { size: undefined });
    assert.deepEqual(manifests.claim(app, three), { size: 0 });
  });

  catalogTest(
    'a repository may read a blob that the upstream says it has, and a size once said stays',
    ({ manifests }) => {
      know({ manifests });
      manifests.grantBlob(app, two, undefined, seen(100));
      assert.deepEqual(manifests.claim(app, two), { size: undefined });
      manifests.grantBlob(app, two, 2 ** 40, seen(200));
      manifests.grantBlob(app, two, undefined, seen(300));
      assert.deepEqual(manifests.claim(app, two), { size: 2 ** 40 });
      for (const other of elsewhere) assert.equal(manifests.claim(other, two), undefined);
      assert.equal(manifests.granted(app, two), false);
    },
  );

  catalogTest('a tag is what was put last, absence included, for each repository alone', ({ tags }) => {
    for (const other of elsewhere) tags.put(other, 'v2', { digest: three, checkedAt: 100 });
    assert.equal(tags.find(app, 'v1'), undefined);
    tags.put(app, 'v1', { digest: one, checkedAt: 100 });
    tags.put(app, 'V1', { digest: two, checkedAt: 100 });
    assert.deepEqual(tags.find(app, 'v1'), { digest: one, checkedAt: 100 });
    tags.put(app, 'v1', { digest: undefined, checkedAt: 200 });
    assert.deepEqual(tags.find(app, 'v1'), { digest: undefined, checkedAt: 200 });
    assert.deepEqual(tags.find(app, 'V1'), { digest: two, checkedAt: 100 });
    for (const other of elsewhere) assert.equal(tags.find(other, 'v1'), undefined);
  });

  catalogTest('of too many absent tags the oldest are forgotten, and no other', (catalog) => {
    const { tags } = catalog;
    tags.put(app, 'v1', { digest: one, checkedAt: 0 });
    const repositoryAt = (index: number) => ({ upstream: 'up.test', name: `random/${index}` });
    for (let index = 0; index < 20_010; index++)
      tags.put(repositoryAt(index), 'x', { digest: undefined, checkedAt: index });
    catalog.flush();
    const at = (index: number) => tags.find(repositoryAt(index), 'x')?.checkedAt;
    assert.deepEqual([at(0), at(9), at(10), at(20_009)], [undefined, undefined, 10, 20_009]);
    assert.equal(tags.find(app, 'v1')?.digest, one);
    tags.put(repositoryAt(5), 'x', { digest: two, checkedAt: 30_000 });
    assert.equal(tags.find(repositoryAt(5), 'x')?.digest, two);
    for (const index of [4, 10, 20_009]) assert.notEqual(tags.find(repositoryAt(index), 'x')?.digest, two);
  });

  catalogTest('each page of referrers is what was put last, absence included, for each repository alone', (catalog) => {
    const { referrers } = catalog;
    const first = { content: '{"manifests":[]}', next: 'page=2', checkedAt: 100 };
    const second = { content: undefined, next: undefined, checkedAt: 200 };
    referrers.put(app, one, '', { ...first, content: 'other' });
    referrers.put(app, one, '', first);
    referrers.put(app, one, 'page=2', second);
    assert.deepEqual(referrers.find(app, one, ''), first);
    assert.deepEqual(referrers.find(app, one, 'page=2'), second);
    assert.equal(referrers.find(app, two, ''), undefined);
    for (const other of elsewhere) assert.equal(referrers.find(other, one, ''), undefined);
  });

  catalogTest('a page of referrers that no kept page leads to is not kept', (catalog) => {
    const { referrers } = catalog;
    const record = { content: undefined, next: undefined, checkedAt: 100 };
    const isKept = (digest: Digest, page: string) => {
      referrers.put(app, digest, page, record);
      return referrers.find(app, digest, page) !== undefined;
    };
    assert.ok(!isKept(one, 'page=2'));
    referrers.put(app, one, '', { ...record, next: 'page=2' });
    assert.deepEqual([isKept(two, 'page=2'), isKept(one, 'page=3'), isKept(one, 'page=2')], [false, false, true]);
  });

  catalogTest('of referrers that take too many bytes the oldest go, and a very long page is not kept', (catalog) => {
    const { referrers } = catalog;
    const put = (index: number, content?: string) =>
      referrers.put(app, digestAt(index), '', { content, next: undefined, checkedAt: index });
    const isKept = (index: number) => referrers.find(app, digestAt(index), '') !== undefined;
    for (let index = 0; index < 5000; index++) put(index);
    put(5000, 'é'.repeat(200_000));
    catalog.flush();
    assert.deepEqual([isKept(0), isKept(4999), isKept(5000)], [true, true, false]);
    for (let index = 6000; index < 6400; index++) put(index, 'x'.repeat(250_000));
    catalog.flush();
    assert.deepEqual([4999, 6100, 6200, 6399].map(isKept), [false, false, true, true]);
  });

  test(`${name}: all of it is there when it is opened again, uses that were only remembered too`, () => {
    const open = place();
    const first = open();
    first.blobs.add({ digest: one, size: 7, usedAt: 100 }, Uint32Array.of(5, 6));
    first.blobs.touch(one, 500);
    const partial = { name: 'a', upstream: 'up.test', digest: two, size: 100, usedAt: 1 };
    first.partials.put(partial);
    first.partials.record('a', [0], [{ start: 3, end: 10, crc: 4 }]);
    first.manifests.add(manifestAt(1), { manifests: [], blobs: [descriptor(three, 7)] });
    first.manifests.grant(app, one, seen(100));
    first.manifests.grantBlob(app, two, 8, seen(100));
    first.tags.put(app, 'v1', { digest: one, checkedAt: 100 });
    first.close();
    const second = open();
    assert.deepEqual(second.blobs.find(one), { digest: one, size: 7, usedAt: 500 });
    assert.deepEqual(second.blobs.checksums(one), Uint32Array.of(5, 6));
    assert.deepEqual(second.partials.list(), [partial]);
    assert.deepEqual(second.partials.pieces('a'), [{ start: 3, end: 10, crc: 4 }]);
    assert.deepEqual(second.manifests.find(one), manifestAt(1));
    assert.equal(second.manifests.granted(app, one), true);
    assert.deepEqual(
      [second.manifests.claim(app, three), second.manifests.claim(app, two)],
      [{ size: 7 }, { size: 8 }],
    );
    assert.deepEqual(second.tags.find(app, 'v1'), { digest: one, checkedAt: 100 });
    assert.equal(second.usage.bytes(), 14);
    second.close();
  });
}
