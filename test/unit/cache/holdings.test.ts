import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Holdings } from '../../../src/cache/holdings.ts';
import { type Digest, digestOf } from '../../../src/oci/digest.ts';

const [stored, arriving, absent] = ['stored', 'arriving', 'absent'].map((text) => digestOf(Buffer.from(text)));

test('what is here of a blob is all of it, or what has arrived; what is found stays known until something goes', () => {
  let asked = 0;
  const kept = new Set([stored]);
  const blobs = {
    removals: 0,
    find: (digest: Digest) => {
      asked++;
      return kept.has(digest) ? { digest, size: 10, usedAt: 0 } : undefined;
    },
  };
  const flight = { upstream: 'up.test', size: 10, rate: 0, readers: 0, endpoint: null, attempts: 0 };
  const views = () => (arriving ? [{ ...flight, digest: arriving, held: [[0, 3] as const, [5, 6] as const] }] : []);
  const holdings = new Holdings({ blobs, flights: { views } });
  const now = () => [stored, arriving, absent].map((digest) => digest && holdings.now()(digest, 10));
  assert.deepEqual(now(), [10, 4, 0]);
  assert.deepEqual(now(), [10, 4, 0]);
  assert.equal(asked, 3, 'what is stored was looked for once');
  kept.clear();
  blobs.removals++;
  assert.deepEqual(now(), [0, 4, 0]);
});
