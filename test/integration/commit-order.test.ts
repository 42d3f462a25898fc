import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tryOrder } from '../support/commit-order.ts';

/** Times are real, and a busy machine only ever adds to them. */
const attempts = 3;

test('where unpacking takes as long as the download, a pull takes at most 0.70 × as long as by a fair proxy', async (t) => {
  const ratios: number[] = [];
  while (ratios.length < attempts && !ratios.some((ratio) => ratio <= 0.7)) {
    const { weir, fair, ratio } = await tryOrder(t, 1, 4);
    t.diagnostic(`${weir.toFixed(0)} ms, fair ${fair.toFixed(0)} ms: ${ratio.toFixed(2)}`);
    ratios.push(ratio);
  }
  assert.ok(Math.min(...ratios) <= 0.7, ratios.join(', '));
});
