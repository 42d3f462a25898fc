import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../../src/oci/digest.ts';
import { Pull } from '../../../src/pulls/pull.ts';
import { PullGroup } from '../../../src/pulls/pull-group.ts';
import { parseRuntime } from '../../../src/pulls/runtimes.ts';
import { FakeClock } from '../../support/clock.ts';

const rules = { guarded: false, model: { timeout: 10_000, commitRate: 1, maxHold: 0 } };
const client = { address: '10.0.0.1', runtime: parseRuntime('cri-o/1.31.2') };

function pullOf(name: string): Pull {
  const layer = { digest: digestOf(Buffer.from(name)), size: 10, mediaType: '' };
  const contents = { mediaType: '', manifests: [], blobs: [layer], layers: [layer] };
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
