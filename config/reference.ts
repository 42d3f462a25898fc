import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { completeSettings } from '../src/config/settings.ts';
import { Metrics } from '../src/metrics/metrics.ts';
import { jsonSchema } from './json-schema.ts';

/** The part of JSON Schema that the configuration uses. */
interface JsonSchema {
  readonly description?: string;
  readonly type?: string;
  readonly examples?: readonly string[];
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | false;
  readonly anyOf?: readonly JsonSchema[];
}

/** Where what is written here belongs. */
export const referenceFiles = {
  configuration: join(import.meta.dirname, '../docs/configuration.md'),
  metrics: join(import.meta.dirname, '../docs/metrics.md'),
} as const;

const head = '<!-- Written by `npm run schema`. -->';

/** Every key of the configuration, as Markdown: made of the schema that the program reads it with, and of the example. */
export function configurationReference(): string {
  const schema: JsonSchema = JSON.parse(jsonSchema());
  const example: unknown = parse(readFileSync(join(import.meta.dirname, 'weir.example.yaml'), 'utf8'));
  const sections = Object.entries(schema.properties ?? {}).map(([key, inner]) =>
    section(key, inner, inside(example, key)),
  );
  return [head, configurationIntroduction, ...sections].join('\n\n').concat('\n');
}

/** Every metric, as Markdown: made of what is registered. */
export function metricsReference(): string {
  const rows = Object.values(new Metrics()).map((metric) => {
    const labels = textsIn(metric, 'labelNames').map(code).join(', ');
    const kind = metric.constructor.name.toLowerCase();
    return `| ${code(textIn(metric, 'name'))} | ${kind} | ${labels} | ${textIn(metric, 'help')} |`;
  });
  const table = ['| metric | kind | labels | what it is |', '|---|---|---|---|', ...rows].join('\n');
  return [head, metricsIntroduction, table, metricsClosing].join('\n\n').concat('\n');
}

const configurationIntroduction = `# Configuration

One YAML file, named by \`--config\` or the variable \`WEIR_CONFIG\`. Every key is optional, and an unknown one is an error:
\`weir check --config weir.yaml\` says all that is wrong at once, with file, line and column.
[weir.example.yaml](../config/weir.example.yaml) has every key with a comment;
[weir.schema.json](../config/weir.schema.json) is for editors.

A flag counts before the environment, that before the file, and that before the default. The environment has
\`WEIR_LISTEN\`, \`WEIR_ADMIN\`, \`WEIR_DATA_DIR\`, \`WEIR_CACHE_MAX_SIZE\` and \`WEIR_LOG_LEVEL\`. The container image sets
\`WEIR_LISTEN\`, \`WEIR_ADMIN\` and \`WEIR_DATA_DIR\`: in a container, a file cannot change these. For upstreams that say no
\`proxy\` of their own, \`HTTP_PROXY\`, \`HTTPS_PROXY\` and \`NO_PROXY\` count.

A changed file is read again at once, and at SIGHUP. One that is not valid changes nothing, and is reported. Counting
only after a restart: \`listen\`, \`admin\`, \`dataDir\`, \`tls\`, \`clients.htpasswd\` and \`log.format\`. The files that keys name
(passwords, certificates, users) are read again when they change, without anything else; only the \`ca\` of an upstream
needs a SIGHUP or a changed configuration.

Durations are \`250ms\`, \`3s\`, \`5m\`, \`2h\`, \`7d\`; sizes \`512MiB\`, \`1.5GiB\` (powers of 1024) or \`100GB\` (powers of 1000).`;

const metricsIntroduction = `# Metrics

At \`/metrics\` of the admin address, in Prometheus text format. [weir.rules.yaml](../config/prometheus/weir.rules.yaml)
has alerts, [weir.json](../config/grafana/weir.json) a dashboard for Grafana (import it, or give it to the sidecar that
watches ConfigMaps); [operations.md](operations.md#alerts) says what each alert means.

The figure that matters is \`weir_client_gap_seconds\`: the longest time for which a pull got no byte. Where nodes cancel
after 10 s, no pull may come near that.`;

const metricsClosing = `Besides these, there is what every Node.js process has to say of itself: \`process_*\` (CPU, memory, open files) and
\`nodejs_*\`. Of those, \`nodejs_eventloop_lag_p99_seconds\` says whether the one thread is late that all pulls share.`;

function section(key: string, schema: JsonSchema, example: unknown): string {
  const { properties, additionalProperties } = schema;
  const title = `## ${code(key)}\n\n${schema.description}.`;
  if (additionalProperties && additionalProperties.anyOf !== undefined) {
    // The one that the example shows stands for all.
    const each = additionalProperties.anyOf.find(({ type }) => type === 'object') ?? {};
    const [shown] = Object.values(Object(example));
    const names = completeSettings({}).upstreams.map(({ name }) => code(name));
    return `${title} Default: ${names.join(', ')}.\n\n${table(`${key}.NAME`, each, shown)}`;
  }
  if (properties === undefined)
    return [title, values(schema), defaultOf(example, 'Default: ', '.')].filter(Boolean).join(' ');
  return `${title}\n\n${table(key, schema, example)}`;
}

function table(parent: string, { properties = {}, required = [] }: JsonSchema, example: unknown): string {
  const rows = Object.entries(properties).map(([key, schema]) => {
    const name = code(`${parent}.${key}`);
    const fallback = required.includes(key) ? 'required' : defaultOf(inside(example, key));
    return `| ${name} | ${[schema.description, values(schema)].filter(Boolean).join('. ')} | ${fallback} |`;
  });
  return ['| key | what it does | default |', '|---|---|---|', ...rows].join('\n');
}

/** What may be written: a kind, a choice, a range, examples. */
function values(schema: JsonSchema): string {
  const { anyOf, enum: choices, examples, items } = schema;
  if (anyOf) return values(anyOf.find(({ type }) => type === 'array') ?? {});
  if (choices) return `One of ${choices.map(code).join(', ')}.`;
  if (examples) return kinds.get(examples[0] ?? '') ?? `Like ${examples.map(code).join(', ')}.`;
  if (items) return `A list. ${values(items)}`.trim();
  return plainValues(schema);
}

function plainValues({ maximum = Number.MAX_SAFE_INTEGER, minimum, properties = {}, type }: JsonSchema): string {
  if (type === 'boolean') return `${code('true')} or ${code('false')}.`;
  if (type === 'integer')
    return `A number from ${minimum}${maximum < Number.MAX_SAFE_INTEGER ? ` to ${maximum}` : ''}.`;
  const inner = Object.entries(properties).map(([key, { description }]) => `${code(key)}: ${description}`);
  return inner.length > 0 ? `${inner.join('; ')}.` : '';
}

/** What the introduction explains, by the first example of it. */
const kinds = new Map([
  ['250ms', 'A duration.'],
  ['512MiB', 'A size.'],
]);

function defaultOf(example: unknown, before = '', end = ''): string {
  if (example === undefined) return '';
  const text = Array.isArray(example)
    ? example.length === 0
      ? 'none'
      : example.map(code).join(', ')
    : code(String(example));
  return `${before}${text}${end}`;
}

function inside(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}

function textIn(of: object, key: string): string {
  return String(Reflect.get(of, key));
}

function textsIn(of: object, key: string): string[] {
  const value: unknown = Reflect.get(of, key);
  return Array.isArray(value) ? value.map(String) : [];
}

function code(text: unknown): string {
  return `\`${text}\``;
}

if (import.meta.main) {
  writeFileSync(referenceFiles.configuration, configurationReference());
  writeFileSync(referenceFiles.metrics, metricsReference());
}
