import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { lacking } from '../support/lacking.ts';
import { attempt } from '../support/program.ts';
import { tempDir } from '../support/temp.ts';

const skip = lacking(['promtool']);
const config = join(import.meta.dirname, '../../config');

async function promtool(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await attempt(['promtool', ...words]);
  return code === 0 ? '' : stdout + stderr;
}

test('every alert is given where it should be, and none of a mirror that does well', { skip }, async () => {
  assert.equal(await promtool('test', 'rules', join(config, 'prometheus/weir.rules.test.yaml')), '');
});

test('Prometheus reads the alerts, and the example of its own configuration', { skip }, async () => {
  assert.equal(await promtool('check', 'rules', join(config, 'prometheus/weir.rules.yaml')), '');
  assert.equal(await promtool('check', 'config', join(config, 'prometheus/prometheus.yaml')), '');
});

test('Prometheus reads every query of the dashboard', { skip }, async () => {
  const { panels } = JSON.parse(readFileSync(join(config, 'grafana/weir.json'), 'utf8'));
  const queries: string[] = panels.flatMap(({ targets = [] }) => targets.map(({ expr }: { expr: string }) => expr));
  const rules = queries.map((expr, index) => ({ record: `query:${index}`, expr: expr.replaceAll(/\$__\w+/g, '5m') }));
  const file = join(tempDir(), 'queries.yaml');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }));
  assert.equal(await promtool('check', 'rules', file), '');
});
