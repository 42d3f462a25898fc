import { Metrics } from '../../src/metrics/metrics.ts';

/** What the texts around an expression may say besides metrics. */
const words = new Set(['and', 'or', 'unless', 'bool', 'offset', 'on', 'ignoring', 'group_left', 'group_right']);

/** What a mirror has under `/metrics`: every name that a query may use. */
export async function metricNames(): Promise<ReadonlySet<string>> {
  const text = await new Metrics().text();
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  return new Set(
    types.flatMap(([, name = '', type]) =>
      type === 'histogram' ? ['_bucket', '_sum', '_count'].map((part) => name + part) : name,
    ),
  );
}

/** The labels of each of our metrics; `le` where it is a histogram. */
export function labelsOf(): ReadonlyMap<string, readonly string[]> {
  const ours = Object.values(new Metrics()).map((metric): [string, string[]] => [
    String(Reflect.get(metric, 'name')),
    [...Reflect.get(metric, 'labelNames'), 'le'],
  ]);
  return new Map(ours);
}

/** The series that a PromQL expression selects, with the labels that it selects them by. */
export function selections(expression: string): { name: string; labels: string[] }[] {
  const bare = expression
    .replaceAll(/\[[^\]]*\]/g, '')
    .replaceAll(/\b(?:by|without|on|ignoring)\s*\([^)]*\)/g, '')
    .replaceAll(/\boffset \w+/g, '');
  const found = bare.matchAll(/(?<![\w"$])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:(])(?:\{([^}]*)\})?/g);
  const strings = /"(?:[^"\\]|\\.)*"/g;
  return [...found].flatMap(([whole, name = '', matchers = '']) => {
    if (words.has(name) || bare.slice(0, bare.indexOf(whole)).endsWith('"')) return [];
    return {
      name,
      labels: [...matchers.replaceAll(strings, '').matchAll(/(\w+)\s*[=!]/g)].map(([, label = '']) => label),
    };
  });
}
