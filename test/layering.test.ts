import assert from 'node:assert/strict';
import { posix } from 'node:path';
import { test } from 'node:test';
import { readSources, type SourceFile } from './support/sources.ts';

/** The house, from the roof down. What stands in one row does not know of each other. */
const rows: readonly (readonly string[])[] = [
  ['weir.js'],
  ['cli'],
  ['mirror.ts'],
  ['server'],
  ['pulls'],
  ['cache'],
  ['upstream'],
  ['storage', 'catalog', 'metrics'],
  ['config'],
  ['oci'],
  ['http', 'async'],
];

/** Where each third-party package lives. */
const homes: Readonly<Record<string, readonly string[]>> = {
  '@prometheus-io/client': ['metrics'],
  bcryptjs: ['server'],
  'better-sqlite3': ['catalog'],
  fastify: ['server'],
  // A bounded map wherever something is remembered that the outside can make grow.
  'lru-cache': ['server', 'pulls', 'cache', 'upstream', 'catalog'],
  pino: ['cli'],
  'pino-pretty': ['cli'],
  tldts: ['upstream'],
  undici: ['upstream'],
  yaml: ['config'],
  zod: ['config'],
};

interface Import {
  readonly path: string;
  readonly target: string;
}

/** What these files import or re-export, types too, at once or later, as they write it. */
function importsOf(files: readonly SourceFile[]): Import[] {
  return files.flatMap(({ path, text }) => {
    const code = text.replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '');
    const found = code.matchAll(/(?:\bfrom\s+|^import\s+|\bimport\(\s*)['"]([^'"]+)['"]/gm);
    return [...found].map(([, target = '']) => ({ path, target }));
  });
}

/** Imports of our own files, by where they are. */
function inwardImports(files: readonly SourceFile[]): Import[] {
  const inward = importsOf(files).filter(({ target }) => target.startsWith('.'));
  return inward.map(({ path, target }) => ({ path, target: posix.join(posix.dirname(path), target) }));
}

const partOf = (path: string) => path.split('/', 1)[0] ?? '';
const rowOf = (path: string) => rows.findIndex((row) => row.includes(partOf(path)));
const inWords = ({ path, target }: Import) => `${path} imports ${target}`;

function upwardImports(files: readonly SourceFile[]): string[] {
  const homeless = files.filter(({ path }) => rowOf(path) < 0).map(({ path }) => `${path} stands in no row`);
  const upward = inwardImports(files).filter(
    ({ path, target }) => partOf(path) !== partOf(target) && rowOf(target) <= rowOf(path),
  );
  return [...homeless, ...upward.map(inWords)];
}

function packagesAbroad(files: readonly SourceFile[]): string[] {
  const outward = importsOf(files).filter(({ target }) => !/^(?:\.|node:)/.test(target));
  const nameOf = (target: string) => /^(?:@[^/]+\/)?[^/]+/.exec(target)?.[0] ?? '';
  return outward.filter(({ path, target }) => homes[nameOf(target)]?.includes(partOf(path)) !== true).map(inWords);
}

/** Every cycle that a walk along the imports comes upon. */
function cycles(files: readonly SourceFile[]): string[] {
  const imports = Map.groupBy(inwardImports(files), ({ path }) => path);
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [[...trail.slice(trail.indexOf(path)), path].join(' → ')];
    if (done.has(path)) return [];
    const found = (imports.get(path) ?? []).flatMap(({ target }) => walk(target, [...trail, path]));
    done.add(path);
    return found;
  };
  return files.flatMap(({ path }) => walk(path, []));
}

test('imports go down only', () => {
  assert.deepEqual(upwardImports(readSources()), []);
});

test('each third-party package is known in its home only', () => {
  assert.deepEqual(packagesAbroad(readSources()), []);
});

test('no file imports itself by way of others', () => {
  assert.deepEqual(cycles(readSources()), []);
});

test('an import that goes up, sideways or nowhere is named', () => {
  const files = [
    { path: 'cache/blobs.ts', text: `import type { App } from '../server/app.ts';\nimport { x } from './spans.ts';\n` },
    { path: 'storage/disk.ts', text: `import {\n  type A,\n  b,\n} from '../catalog/catalog.ts';\n` },
    { path: 'oci/errors.ts', text: `export { z } from '../config/schema.ts';\n// import '../server/app.ts'\n` },
    { path: 'http/range.ts', text: `const late = await import('../cli/main.ts');\n` },
    { path: 'helpers/all.ts', text: '' },
  ];
  assert.deepEqual(upwardImports(files), [
    'helpers/all.ts stands in no row',
    'cache/blobs.ts imports server/app.ts',
    'storage/disk.ts imports catalog/catalog.ts',
    'oci/errors.ts imports config/schema.ts',
    'http/range.ts imports cli/main.ts',
  ]);
});

test('a package away from its home, or without one, is named', () => {
  const files = [
    { path: 'server/app.ts', text: `import Fastify from 'fastify';\nimport { request } from 'undici';\n` },
    { path: 'oci/digest.ts', text: `import 'left-pad';\nimport { createHash } from 'node:crypto';\n` },
    { path: 'cache/blobs.ts', text: `import { Counter } from '@prometheus-io/client/lib/counter.js';\n` },
  ];
  assert.deepEqual(packagesAbroad(files), [
    'server/app.ts imports undici',
    'oci/digest.ts imports left-pad',
    'cache/blobs.ts imports @prometheus-io/client/lib/counter.js',
  ]);
});

test('a cycle is named with its way round', () => {
  const files = [
    { path: 'oci/a.ts', text: `import { b } from './b.ts';\n` },
    { path: 'oci/b.ts', text: `import type { C } from './c.ts';\n` },
    { path: 'oci/c.ts', text: `export * from './b.ts';\n` },
  ];
  assert.deepEqual(cycles(files), ['oci/b.ts → oci/c.ts → oci/b.ts']);
});
