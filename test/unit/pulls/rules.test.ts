import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configuredRules, type PullRules } from '../../../src/pulls/rules.ts';
import { parseRuntime } from '../../../src/pulls/runtimes.ts';
import { settingsOf } from '../../support/mirror.ts';

const mib = 1024 * 1024;
const atRisk = parseRuntime('cri-o/1.31.2');
const rules = (watchdog: object, address = '10.0.0.1', runtime = atRisk): PullRules =>
  configuredRules(settingsOf({ watchdog }).watchdog)(address, runtime);

test('the guard is for clients whose runtime can time out, for all, or for none', () => {
  const agents = ['cri-o/1.31.2', 'cri-o/1.32.0', 'cri-o/1.33.0', 'cri-o/1.29.1', 'containerd/2.1.0', 'containers/5.3'];
  const guarded = (guard: string) => agents.filter((each) => rules({ guard }, '::1', parseRuntime(each)).guarded);
  assert.deepEqual(guarded('auto'), ['cri-o/1.31.2', 'cri-o/1.32.0']);
  assert.deepEqual(guarded('always'), agents);
  assert.deepEqual(guarded('off'), []);
  assert.equal(rules({}).guarded, true);
});

test('what is assumed of a node is configured, by network where that says so', () => {
  assert.deepEqual(rules({}).model, { timeout: 10_000, maxHold: 300_000, commitRate: 60 * mib });
  const commitRates = { '10.0.0.0/8': '30MiB', '10.1.0.0/16': '20MiB', '10.1.2.3': '10MiB', 'fd00::/8': '5MiB' };
  const rateAt = (address: string) => rules({ commitRate: '90MiB', commitRates }, address).model.commitRate / mib;
  assert.deepEqual(['10.9.9.9', '10.1.9.9', '10.1.2.3', '192.0.2.1'].map(rateAt), [30, 20, 10, 90]);
  assert.deepEqual(['fd00::7', '2001:db8::1', '::ffff:10.1.9.9', ''].map(rateAt), [5, 90, 20, 90]);
});
