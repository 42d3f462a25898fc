import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unlessHeldUp } from '../support/held-up.ts';
import { pullFromUnruly } from '../support/unruly.ts';

test('no node cancels a pull while the upstream misbehaves at random; unprotected, many do', async (t) => {
  const { weir, unprotected } = await unlessHeldUp(t, () => pullFromUnruly(t, 24, 1));
  t.diagnostic(`with Weir: ${JSON.stringify(weir)}; unprotected: ${JSON.stringify(unprotected)}`);
  assert.deepEqual([weir.pulls, weir.cancelled, weir.errors], [24, 0, []]);
  assert.ok(unprotected.cancelled + unprotected.failed >= 8, JSON.stringify(unprotected));
});
