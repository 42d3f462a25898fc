import type { Measure, Target } from './measure.ts';
import { median, ratios } from './statistics.ts';

/** Writes a measure as a Markdown table: a row for each program, a column for each reference. */
export function renderTable(measure: Measure): string {
  const { title, unit, samples, references } = measure;
  const columns = [
    'program',
    `median, ${unit}`,
    'min – max',
    ...references.map((name) => `× ${name}`),
    'target',
    'met?',
  ];
  const rows = [...samples.keys()].map((program) => rowOf(measure, program));
  const lines = [columns, columns.map((_, index) => (index === 0 ? '---' : '---:')), ...rows];
  return `**${title}**\n\n${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}

function rowOf(measure: Measure, program: string): string[] {
  const values = valuesOf(measure, program);
  const targets = measure.targets.filter((target) => target.program === program);
  return [
    program,
    formatNumber(median(values)),
    `${formatNumber(Math.min(...values))} – ${formatNumber(Math.max(...values))}`,
    ...measure.references.map((name) => (name === program ? '1' : ratio(measure, program, name).toFixed(2))),
    targets.map((target) => describe(target, measure.unit)).join(', '),
    targets.map((target) => (isMet(target, measure) ? 'yes' : 'missed')).join(', '),
  ];
}

function describe({ bound, value, times }: Target, unit: string): string {
  const sign = bound === 'at least' ? '≥' : '≤';
  return `${sign} ${times === undefined ? `${formatNumber(value)} ${unit}`.trim() : `${value.toFixed(2)} × ${times}`}`;
}

function isMet({ program, bound, value, times }: Target, measure: Measure): boolean {
  const reached = times === undefined ? median(valuesOf(measure, program)) : ratio(measure, program, times);
  return bound === 'at least' ? reached >= value : reached <= value;
}

/** The median of the rounds' ratios: what slows a round down as a whole cancels out. */
function ratio(measure: Measure, program: string, reference: string): number {
  return median(ratios(valuesOf(measure, program), valuesOf(measure, reference)));
}

function valuesOf({ samples, title }: Measure, program: string): readonly number[] {
  const values = samples.get(program);
  if (values === undefined) throw new Error(`${title}: ${program} was not measured`);
  return values;
}

function formatNumber(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
