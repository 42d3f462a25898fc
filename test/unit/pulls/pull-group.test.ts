import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../../src/oci/digest.ts';
import { Pull } from '../../../src/pulls/pull.ts';
import { PullGroup } from '../../../src/pulls/pull-group.ts';
import { parseRuntime } from '../../../src/pulls/runtimes.ts';
import { FakeClock } from '../../support/clock.ts';

const rules = { guarded: false, model: { timeout: 10_000, commitRate: 1, maxHold: 0 } };
const client = { address: '10.0.0.1', runtime: parseRuntime('cri-o/1.31.2') };

/** The pull of an image; the first of its layers has the digest of its name. */
function pullOf(name: string, count = 1): Pull {
  const layers = Array.from({ length: count }, (_, index) => {
    const digest = digestOf(Buffer.from(index === 0 ? name : `${name} ${index}`));
    return { digest, size: 10, mediaType: '' };
  });
  const contents = { mediaType: '', manifests: [], blobs: layers, layers };
  return new Pull(
    client,
    { name, digest: digestOf(Buffer.from(`${name} manifest`)), contents },
    rules,
    new FakeClock(),
  );
}

test('pulls that were never started are forgotten first, and none that is under way', () => {
  const group = new PullGroup();
  const pulls = Array.from({ length: 40 }, (_, index) => pullOf(`image ${index}`));
  const empty = group.weight;
  for (const [index, pull] of pulls.entries()) {
    group.begin(pull, {});
    if (index < 10) pull.request(digestOf(Buffer.from(`image ${index}`)), 0);
  }
  assert.equal(group.weight - empty, 16);
  const remembered = pulls.flatMap((pull, index) => (group.pullsOf(pull.image.digest).length > 0 ? index : []));
  assert.deepEqual(remembered, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 34, 35, 36, 37, 38, 39]);
});

test('pulls that rest are forgotten too, those first that do so longest; none that is under way, nor the one that begins', () => {
  const group = new PullGroup();
  const digest = digestOf(Buffer.from('a'));
  const empty = group.weight;
  const pulls = Array.from({ length: 100 }, () => pullOf('a', 2));
  for (const [index, pull] of pulls.entries()) {
    group.begin(pull, {});
    const stream = pull.request(digest, 0);
    if (index % 4 > 0) stream.end('delivered');
  }
  const begun = pullOf('a', 2);
  group.begin(begun, {});
  assert.deepEqual(group.pullsOf(begun.image.digest), [
    ...pulls.filter((pull, index) => pull.isOpen || index >= 79),
    begun,
  ]);
  assert.ok(group.weight - empty <= 2 * 42);
  const [first, second] = pulls.filter(({ isOpen }) => !isOpen);
  assert.deepEqual([first?.settle(), second?.settle()], ['partial', 'partial'], 'what was forgotten is over');
});

test('however many go on, only so many are told apart', () => {
  const group = new PullGroup();
  const pulls = Array.from({ length: 300 }, () => pullOf('a', 2));
  for (const pull of pulls) {
    group.begin(pull, {});
    pull.request(digestOf(Buffer.from('a')), 0);
  }
  const told = group.pullsOf(pulls[0]?.image.digest ?? digestOf(Buffer.from('')));
  assert.ok(told.length === 272 && told.every((pull, index) => pull === pulls[index]), `${told.length}`);
});

test('pulls that cannot be told apart are told so once', (t) => {
  const [first = pullOf('a'), ...others] = Array.from({ length: 100 }, () => pullOf('a'));
  const { mock } = t.mock.method(Set.prototype, 'add');
  const [one, ...more] = others;
  first.mixWith(others.slice(0, 49));
  one?.mixWith([first]);
  const [half, ...rest] = more.slice(48);
  half?.mixWith(rest);
  first.mixWith(others);
  assert.ok(mock.callCount() <= 200, `${mock.callCount()} additions`);
  mock.resetCalls();
  for (const pull of others) pull.mixWith(others);
  assert.equal(mock.callCount(), 0);
});

test('a pull that has ended is nobody’s kin: those that could not be told from it go on without it', () => {
  const [ended, other, third] = [pullOf('a'), pullOf('a'), pullOf('a')];
  const digest = digestOf(Buffer.from('a'));
  let told = 0;
  ended.watch(() => told++);
  ended.mixWith([other]);
  const stream = other.request(digest, 0);
  assert.equal(told, 1, 'what happens to one may change the other');
  ended.request(digest, 0).end('delivered');
  assert.equal(ended.settle(), 'complete');
  const before = told;
  stream.end('aborted');
  third.mixWith([other]);
  third.request(digest, 0);
  assert.equal(told, before);
  let thirdTold = 0;
  third.watch(() => thirdTold++);
  other.request(digest, 0);
  assert.equal(thirdTold, 1, 'the others are still kin');
});
