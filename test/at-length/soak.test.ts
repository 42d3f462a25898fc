import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Soak } from '../support/soak.ts';
import { complaints, table } from '../support/soak-report.ts';

test('for two minutes, while everything goes wrong: every byte right, within bounds, and nothing is left over', async (t) => {
  const report = await new Soak({ duration: 120_000, seed: 1 }).run();
  t.diagnostic(table(report));
  assert.deepEqual(complaints(report), []);
});
