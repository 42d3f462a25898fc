import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { jsonSchema, schemaFile } from '../../config/json-schema.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { completeSettings, type Settings } from '../../src/config/settings.ts';
import { tempDir } from '../support/temp.ts';

const exampleFile = join(import.meta.dirname, '../../config/weir.example.yaml');
const example = readFileSync(exampleFile, 'utf8');
/** The example with all keys in force. */
const complete = example.replaceAll(/^( *)#(?=[^ #])/gm, '$1');

interface JsonSchema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | false;
  readonly anyOf?: readonly JsonSchema[];
}

/** Every key that a schema knows, dotted; `*` where a name is free. */
function keysOf({ properties = {}, additionalProperties, anyOf = [] }: JsonSchema): [string, JsonSchema][] {
  const named: [string, JsonSchema][] = Object.entries(properties);
  if (additionalProperties) named.push(['*', additionalProperties]);
  const deeper = named.flatMap(([name, schema]) =>
    keysOf(schema).map(([key, inner]): [string, JsonSchema] => [`${name}.${key}`, inner]),
  );
  return [...named, ...deeper, ...anyOf.flatMap(keysOf)];
}

function isThere(value: unknown, [key, ...rest]: readonly string[]): boolean {
  if (key === undefined) return value !== undefined;
  if (typeof value !== 'object' || value === null) return false;
  const inner = Object.entries(value).filter(([name]) => key === '*' || name === key);
  return inner.some(([, each]) => isThere(each, rest));
}

test('config/weir.schema.json is what `npm run schema` writes', () => {
  assert.equal(readFileSync(schemaFile, 'utf8'), jsonSchema());
});

test('every key of the schema says what it does', () => {
  const silent = keysOf(JSON.parse(jsonSchema())).filter(
    ([key, { description }]) => !key.endsWith('*') && description === undefined,
  );
  assert.deepEqual(
    silent.map(([key]) => key),
    [],
  );
});

test('config/weir.example.yaml shows every key of the schema', () => {
  const written: unknown = parse(complete);
  const missing = keysOf(JSON.parse(jsonSchema())).filter(([key]) => !isThere(written, key.split('.')));
  assert.deepEqual(
    missing.map(([key]) => key),
    [],
  );
});

test('config/weir.example.yaml is valid, as it is and with all keys in force', () => {
  const file = join(tempDir(), 'complete.yaml');
  writeFileSync(file, complete);
  assert.notEqual(complete, example);
  for (const each of [exampleFile, file]) assert.doesNotThrow(() => loadConfig({ file: each, env: {} }), each);
});

test('config/weir.example.yaml sets the defaults, and leaves out only what has none', () => {
  // What a file names must be there; of the default, what the machine has is enough.
  const named = (settings: Settings) => ({
    ...settings,
    listen: settings.listen.map(({ host, port }) => `${host} ${port}`),
  });
  assert.deepEqual(named(completeSettings(configSchema.parse(parse(example)))), named(completeSettings({})));
  const shown = keysOf(JSON.parse(jsonSchema())).flatMap(([key]) => (key.includes('*') ? [] : key));
  const defaults = completeSettings({});
  const unset = shown.filter((key) => isThere(defaults, key.split('.')) && !isThere(parse(example), key.split('.')));
  assert.deepEqual(unset, []);
});
