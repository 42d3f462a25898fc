import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { configurationReference, metricsReference, referenceFiles } from '../../config/reference.ts';
import { InForce } from '../../src/config/in-force.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { completeSettings } from '../../src/config/settings.ts';
import { anchorsIn, blocks, codeIn, type Document, linksIn, readDocuments, root } from '../support/documents.ts';
import { metricNames } from '../support/metric-names.ts';
import { readSources } from '../support/sources.ts';
import { tempDir } from '../support/temp.ts';

const documents = readDocuments();
const sources = readSources();
const code = sources.map(({ text }) => text).join('\n');

function weir(...words: readonly string[]): string {
  return execFileSync(process.execPath, [join(root, 'src/weir.js'), ...words], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

function document(path: string): Document {
  const found = documents.find((each) => each.path === path);
  assert.ok(found, path);
  return found;
}

/** Links that lead nowhere: to no file, or to no heading of it. */
function lost(from: Document, among: readonly Document[]): string[] {
  return linksIn(from).filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [file = '', anchor] = link.split('#');
    const path = file === '' ? from.path : relative(root, join(root, dirname(from.path), file));
    const target = among.find((each) => each.path === path);
    if (target === undefined && !existsSync(join(root, path))) return true;
    return anchor !== undefined && !(target !== undefined && anchorsIn(target).includes(anchor));
  });
}

test('every link in the documents leads to a file, and to a heading of it', () => {
  assert.ok(documents.length > 10 && documents.some(({ path }) => path === 'README.md'));
  for (const each of documents) assert.deepEqual(lost(each, documents), [], each.path);
});

test('links that lead nowhere are noticed', () => {
  const text = '# A b, `c`\n\n[x](#a-b-c) [y](#d) [z](none.md) [w](README.md#nothing)\n\n```sh\n# [v](v)\n```\n';
  assert.deepEqual(lost({ path: 'x.md', text }, [{ path: 'x.md', text }, document('README.md')]), [
    '#d',
    'none.md',
    'README.md#nothing',
  ]);
});

test('every document of docs/ is in its table of contents', () => {
  const listed = linksIn(document('docs/README.md'));
  const own = documents.flatMap(({ path }) => /^docs\/(?!README)(.+)$/.exec(path)?.[1] ?? []);
  assert.deepEqual(
    own.filter((name) => !listed.includes(name)),
    [],
  );
});

test('every npm script that the documents name exists, and every command of the program', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const help = weir('--help');
  for (const each of documents) {
    const all = codeIn(each).join('\n');
    for (const [, name = ''] of all.matchAll(/\bnpm run (?:-s )?([a-z:]+)/g))
      assert.ok(Object.hasOwn(scripts, name), `${each.path}: npm run ${name}`);
    for (const [, name] of all.matchAll(/(?:^|&& )(?:npm run (?:-s )?)?weir (?:-- )?([a-z][a-z-]*)/gm))
      assert.match(help, new RegExp(`^ +${name} `, 'm'), `${each.path}: weir ${name}`);
  }
});

test('every command of the program is explained', () => {
  const all = documents.flatMap(codeIn).join('\n');
  const commands = [...weir('--help').matchAll(/^ {2}([a-z][a-z-]*) {2,}/gm)].map(([, name]) => name);
  assert.ok(commands.length > 4);
  const silent = commands.filter((name) => !new RegExp(`weir (?:-- )?${name}\\b`).test(all));
  assert.deepEqual(silent, []);
});

test('every configuration in the documents is valid', () => {
  const schema = Object.keys(configSchema.shape);
  for (const each of documents)
    for (const [index, yaml] of blocks(each, 'yaml').entries()) {
      if (!Object.keys(parse(yaml) ?? {}).some((key) => schema.includes(key))) continue;
      const file = join(tempDir(), `${index}.yaml`);
      writeFileSync(file, yaml);
      assert.doesNotThrow(() => loadConfig({ file, env: {} }), `${each.path}: ${yaml}`);
    }
});

test('every key, variable, metric and path that the documents name exists', async () => {
  const metrics = await metricNames();
  const reference = configurationReference();
  const existing: readonly (readonly [RegExp, (name: string) => boolean])[] = [
    [/^(?:cache|clients|watchdog|log|tls)\.(?!yaml)[a-zA-Z]+$/g, (key) => reference.includes(`\`${key}\``)],
    [/\bWEIR_(?!REQUIRE)[A-Z_]+/g, (variable) => code.includes(variable)],
    [/\bweir_[a-z_]+[a-z]/g, (metric) => metrics.has(metric) || metrics.has(`${metric}_count`)],
    [/\/api\/[a-z]+/g, (path) => code.includes(path)],
  ];
  for (const each of documents)
    for (const [pattern, exists] of existing)
      for (const [name] of codeIn(each).flatMap((text) => [...text.matchAll(pattern)]))
        assert.ok(exists(name), `${each.path}: ${name}`);
});

test('the files for nodes in the guide are what the program prints', () => {
  const guide = document('docs/getting-started.md');
  const print = (client: string) =>
    weir('client-config', client, '--mirror', 'mirror.example.com:5000', '--upstream', 'quay.io');
  const [crio = '', containerd = ''] = blocks(guide, 'toml');
  assert.ok(print('crio').includes(crio));
  assert.ok(print('containerd').includes(containerd));
});

test('messages of the program in the troubleshooting guide are what it says', () => {
  const [, table = ''] = /^## What Weir says$(.*?)^## /ms.exec(document('docs/troubleshooting.md').text) ?? [];
  const messages = [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, message = '']) => message);
  assert.ok(messages.length > 10);
  for (const message of messages)
    for (const part of message.split('…')) assert.ok(code.includes(part.trim()), `nothing says: ${part}`);
});

test('every path of the admin address is explained', () => {
  const table = document('docs/http-api.md').text;
  const paths = new Set([...code.matchAll(/'(?:[A-Z]+ )?(\/api\/[a-z]+)/g)].flatMap(([, path]) => path ?? []));
  assert.ok(paths.size > 5);
  assert.deepEqual(
    [...paths].filter((path) => !table.includes(` ${path}`)),
    [],
  );
});

test('every alert is explained, and nothing else is', () => {
  const rules = parse(readFileSync(join(root, 'config/prometheus/weir.rules.yaml'), 'utf8'));
  const alerts: string[] = rules.groups[0].rules.map(({ alert }: { alert: string }) => alert);
  const explained = [...document('docs/operations.md').text.matchAll(/^### (Weir\w+)$/gm)].map(([, name]) => name);
  assert.deepEqual(explained.toSorted(), alerts.toSorted());
});

test('the references are what `npm run schema` writes', () => {
  const remedy = 'they are old: npm run schema';
  assert.equal(readFileSync(referenceFiles.configuration, 'utf8'), configurationReference(), remedy);
  assert.equal(readFileSync(referenceFiles.metrics, 'utf8'), metricsReference(), remedy);
});

test('the reference names exactly the keys that count after a restart only', () => {
  const file = configSchema.parse({
    ...{ listen: '127.0.0.1:1', admin: '127.0.0.1:2', dataDir: '/x', tls: { cert: 'c', key: 'k' }, drainTimeout: '9s' },
    ...{ adminHosts: ['a'], adminToken: { file: 't' }, defaultUpstream: 'quay.io', prefetch: false },
    ...{ cache: { maxSize: '1GiB', idleFlight: '9s', minFree: '9%' }, watchdog: { drip: '1s', guard: 'off' } },
    ...{ clients: { maxStreams: 9, htpasswd: 'h', trustProxy: ['::1'] }, log: { level: 'warn', format: 'json' } },
  });
  const { postponed } = new InForce(completeSettings({})).replace(completeSettings(file));
  const keys = new Set(postponed.map((key) => key.replace(/^admin\..*/, 'admin')));
  const [, sentence = ''] = /after a restart: (.*?)\. The files/s.exec(configurationReference()) ?? [];
  assert.deepEqual([...sentence.matchAll(/`([^`]+)`/g)].map(([, key]) => key).toSorted(), [...keys].toSorted());
});
