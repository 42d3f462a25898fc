import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { labelsOf, metricNames, selections } from '../support/metric-names.ts';

const config = join(import.meta.dirname, '../../config');
const read = (file: string) => readFileSync(join(config, file), 'utf8');
const rules: { groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[] } = parse(
  read('prometheus/weir.rules.yaml'),
);
const alerts = rules.groups.flatMap((group) => group.rules);
const panels: { title: string; description?: string; targets?: { expr: string }[] }[] = JSON.parse(
  read('grafana/weir.json'),
).panels;
const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** Of others: Prometheus and the kubelet. */
const foreign = new Set(['up', 'kubelet_volume_stats_available_bytes', 'kubelet_volume_stats_capacity_bytes']);
/** Which Prometheus adds. */
const added = ['job', 'instance'];

test('every alert and every query of the dashboard names metrics and labels that exist', async () => {
  const names = await metricNames();
  const labels = labelsOf();
  const expressions = [...alerts.map(({ expr }) => expr), ...queries];
  assert.ok(alerts.length > 5 && queries.length > 20);
  for (const expression of expressions) {
    const selected = selections(expression);
    assert.notEqual(selected.length, 0, expression);
    for (const { name, labels: used } of selected) {
      assert.ok(names.has(name) || foreign.has(name), `${name} in ${expression}`);
      const known = labels.get(name.replace(/_(?:bucket|sum|count)$/, ''));
      for (const label of used)
        assert.ok(known === undefined || [...known, ...added].includes(label), `${name}{${label}}`);
    }
  }
});

test('it is noticed where a query names what does not exist', () => {
  const expression = `sum by (code) (rate(weir_a_total{code!~"2..|x", job="weir"}[5m])) / (weir_b offset 1h) or up{job="a b"} > 2`;
  assert.deepEqual(selections(expression), [
    { name: 'weir_a_total', labels: ['code', 'job'] },
    { name: 'weir_b', labels: [] },
    { name: 'up', labels: ['job'] },
  ]);
});

test('the Prometheus operator gets the same alerts', () => {
  assert.deepEqual(parse(read('kubernetes/monitoring/rules.yaml')).spec, rules);
});
