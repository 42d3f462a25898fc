import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConfigError, type ConfigSources, loadConfig } from '../../../src/config/load.ts';
import type { Settings } from '../../../src/config/settings.ts';
import { tempDir } from '../../support/temp.ts';

const file = join(tempDir(), 'weir.yaml');

function load(text: string, env: ConfigSources['env'] = {}): Settings {
  writeFileSync(file, text);
  return loadConfig({ file, env });
}

/** Everything that is wrong, a line each, the file called `F`. */
function problems(work: () => unknown): string[] {
  try {
    work();
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    const lines = error.issues.map((issue) => new ConfigError([issue]).message);
    assert.equal(error.message, lines.join('\n'));
    return lines.map((line) => line.replaceAll(file, 'F'));
  }
}

const problemsOf = (text: string, env?: ConfigSources['env']) => problems(() => load(text, env));

const mistakes: readonly (readonly [text: string, ...problems: readonly string[]])[] = [
  ['nonsense: 1', 'F:1:1 nonsense: unknown key'],
  ['cache:\n  maxSize: 1GiB\n  maxsize: 1GiB', 'F:3:3 cache.maxsize: unknown key'],
  ['__proto__: 1', 'F:1:1 __proto__: unknown key'],
  ['listen: nowhere', 'F:1:1 listen: expected an address like 127.0.0.1:5000, [::1]:5000'],
  ['listen:\n  - 127.0.0.1:1\n  - x:99999', 'F:3:5 listen.1: expected an address like 127.0.0.1:5000, [::1]:5000'],
  ['admin: 7', 'F:1:1 admin: expected an address like 127.0.0.1:5000, [::1]:5000'],
  ['drainTimeout: 5', 'F:1:1 drainTimeout: expected a duration like 250ms, 3s, 5m, 2h, 7d'],
  ['drainTimeout: 5 minutes', 'F:1:1 drainTimeout: expected a duration like 250ms, 3s, 5m, 2h, 7d'],
  ['cache: { maxSize: lots }', 'F:1:10 cache.maxSize: expected a size like 512MiB, 1.5GiB, 100GB'],
  ['upstreams: [quay.io]', 'F:1:1 upstreams: expected registries like quay.io: {}'],
  ['cache: big', 'F:1:1 cache: expected object, received string'],
  ['cache:', 'F:1:1 cache: expected object, received null'],
  [
    'log: { level: loud }',
    'F:1:8 log.level: Invalid option: expected one of "trace"|"debug"|"info"|"warn"|"error"|"fatal"|"silent"',
  ],
  [
    'upstreams:\n  quay.io:\n    connections: 0',
    'F:3:5 upstreams.quay.io.connections: Too small: expected number to be >=1',
  ],
  ['upstreams:\n  quay.io:\n    conections: 1', 'F:3:5 upstreams.quay.io.conections: unknown key'],
  [
    'upstreams:\n  a.test:\n    endpoints: [ftp://a.test]',
    'F:3:17 upstreams.a.test.endpoints.0: expected a URL like https://registry.example.com',
  ],
  [
    'upstreams:\n  a.test:\n    endpoints: [https://a.test/v2]',
    'F:3:17 upstreams.a.test.endpoints.0: expected a URL like https://registry.example.com',
  ],
  [
    'upstreams:\n  a.test:\n    endpoints:\n      - https://a.test\n      - http://b.test',
    'F:5:9 upstreams.a.test.endpoints.1: plain http needs `insecure: true`',
  ],
  ['upstreams:\n  quay.io:\n    aliases: [ghcr.io]', 'F:3:5 upstreams.quay.io.aliases: ghcr.io is ghcr.io already'],
  ['upstreams: { a.test: { aliases: [x, x] } }', 'F:1:24 upstreams.a.test.aliases: x is a.test already'],
  [
    'upstreams: { a.test: { aliases: [Up] } }',
    'F:1:34 upstreams.a.test.aliases.0: expected one lower-case path segment',
  ],
  [
    'upstreams: { a.test: { credentials: { username: u } } }',
    'F:1:24 upstreams.a.test.credentials.passwordFile: expected string, received undefined',
  ],
  ['defaultUpstream: ghost.io', 'F:1:1 defaultUpstream: the default upstream ghost.io is not among the upstreams'],
  ['upstreams:\n  docker.io:', 'F:1:1 upstreams: the default upstream docker.io is not among the upstreams'],
  ['drainTimeout: !!binary eA==', 'F:1:1 drainTimeout: expected a duration like 250ms, 3s, 5m, 2h, 7d'],
  ['[]', 'F:1:1: expected object, received array'],
  ['just words', 'F:1:1: expected object, received string'],
];

test('each mistake is told with its place, its key, and what was expected', () => {
  for (const [text, ...expected] of mistakes) assert.deepEqual(problemsOf(text), expected, text);
});

test('an upstream is called as a host is', () => {
  for (const name of ['not a host', 'a.test/v2', 'https://a.test', 'A.test', 'a.test:999999', '', '-a', 'u@a.test']) {
    const found = problemsOf(`upstreams:\n  '${name}': {}`);
    assert.deepEqual(found, [`F:2:3 upstreams.${name}: expected a host like registry.example.com:5000`]);
  }
  for (const name of ['a.test', 'a.test:5000', 'a', '127.0.0.1:5000', '[::1]:5000', 'my_registry']) {
    assert.deepEqual(problemsOf(`upstreams:\n  '${name}': {}`), [], name);
  }
});

test('everything that is wrong is told at once', () => {
  const text =
    'listen: nowhere\ncache: { maxSiz: 1GiB, idleFlight: 1 }\nupstreams:\n  quay.io: { tagTtl: 5x }\nlog: 7\n';
  assert.deepEqual(
    problemsOf(text)
      .map((line) => line.split(': ', 1)[0])
      .toSorted(),
    ['F:1:1 listen', 'F:2:10 cache.maxSiz', 'F:2:24 cache.idleFlight', 'F:4:14 upstreams.quay.io.tagTtl', 'F:5:1 log'],
  );
});

test('what is no YAML is told where it stops being so, each mistake of it', () => {
  const texts: readonly (readonly [text: string, ...places: readonly string[]])[] = [
    ['listen: 1\nlisten: 2', 'F:2:1'],
    ['cache: { maxSize: 1GiB, maxSize: 2GiB }', 'F:1:25'],
    ['listen: [a', 'F:1:11'],
    ['a: b: c', 'F:1:4'],
    ['listen: 1\n---\nlisten: 2', 'F:2:1'],
    ['\tlisten: 1', 'F:1:1'],
    ['listen: "a', 'F:1:11'],
    ['a: 1\na: 2\nb: 1\nb: 2', 'F:2:1', 'F:4:1'],
    ['listen: *nothing', 'F:1:9'],
    ['listen: !secret x', 'F:1:9'],
  ];
  for (const [text, ...places] of texts) {
    assert.deepEqual(
      problemsOf(text).map((line) => line.split(': ', 1)[0]),
      places,
      text,
    );
  }
});

test('aliases that multiply are refused before they fill the memory', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 12; level++) {
    lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`);
  }
  const [problem = '', ...more] = problemsOf(lines.join('\n'));
  assert.match(problem, /^F:\d+:\d+: .*alias/i);
  assert.deepEqual(more, []);
});

test('no text makes it throw anything but a ConfigError, and every problem has a place', () => {
  const piece = fc.constantFrom(
    ...[
      'listen',
      'upstreams',
      'quay.io',
      'cache',
      ': ',
      '\n',
      '\n  ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '&a ',
      '*a',
      '"',
      "'",
      '|',
      '>',
      '#',
    ],
    ...['? ', '---', '!!x ', '<<: ', '%', '@', 'null', '5s', '\t', '1GiB', '__proto__', 'constructor'],
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 30 }).map((all) => all.join('')),
  );
  fc.assert(
    fc.property(text, (each) => {
      for (const line of problemsOf(each)) assert.match(line, /^F:\d+:\d+( \S.*)?: ./s);
    }),
    { numRuns: 200 },
  );
  assert.match(problemsOf('['.repeat(10_000))[0] ?? '', /^F:\d+:\d+: /);
});

test('an environment variable counts before the file, and its mistakes carry its name', () => {
  const env = {
    WEIR_LISTEN: '127.0.0.1:7000',
    WEIR_ADMIN: '[::1]:7001',
    WEIR_DATA_DIR: '/cache',
    WEIR_CACHE_MAX_SIZE: '7GiB',
    WEIR_LOG_LEVEL: 'debug',
  };
  const text =
    'listen: 127.0.0.1:1\ndataDir: /x\ncache: { maxSize: 1GiB, idleFlight: 1m }\nlog: { level: warn, format: json }';
  const settings = load(text, env);
  assert.deepEqual(settings.listen, [{ host: '127.0.0.1', port: 7000 }]);
  assert.deepEqual(settings.admin, { host: '::1', port: 7001 });
  assert.equal(settings.dataDir, '/cache');
  assert.deepEqual([settings.cache.maxSize, settings.cache.idleFlight], [7 * 2 ** 30, 60_000]);
  assert.deepEqual(settings.log, { level: 'debug', format: 'json' });
  const wrong = problemsOf('cache: { maxSize: 1GiB, x: 1 }', {
    WEIR_LISTEN: 'x',
    WEIR_CACHE_MAX_SIZE: 'y',
    WEIR_LOG_LEVEL: 'z',
  });
  assert.deepEqual(wrong.map((line) => line.split(': ', 1)[0]).toSorted(), [
    'F:1:25 cache.x',
    'WEIR_CACHE_MAX_SIZE cache.maxSize',
    'WEIR_LISTEN listen',
    'WEIR_LOG_LEVEL log.level',
  ]);
});

test('an empty variable is none, and an unknown one is nobody’s', () => {
  const settings = load('listen: 127.0.0.1:1', { WEIR_LISTEN: '', WEIR_NONSENSE: 'x', LISTEN: 'x' });
  assert.deepEqual(settings.listen, [{ host: '127.0.0.1', port: 1 }]);
});

test('the file is the flag’s, else the environment’s, else none', () => {
  const other = join(tempDir(), 'other.yaml');
  writeFileSync(file, 'dataDir: /flag');
  writeFileSync(other, 'dataDir: /variable');
  assert.equal(loadConfig({ file, env: { WEIR_CONFIG: other } }).dataDir, '/flag');
  assert.equal(loadConfig({ env: { WEIR_CONFIG: other } }).dataDir, '/variable');
  assert.equal(loadConfig({ env: { WEIR_CONFIG: '' } }).dataDir, loadConfig({ env: {} }).dataDir);
  assert.equal(loadConfig({ env: {} }).dataDir, './data');
});

test('a file that cannot be read is told as such', () => {
  const dir = tempDir();
  mkdirSync(join(dir, 'folder'));
  const reading = (name: string) => problems(() => loadConfig({ file: join(dir, name), env: {} }));
  assert.deepEqual(reading('missing'), [`${join(dir, 'missing')}: the file cannot be read (ENOENT)`]);
  assert.deepEqual(reading('folder'), [`${join(dir, 'folder')}: the file cannot be read (EISDIR)`]);
});

test('nothing at all, comments, and null are the defaults', () => {
  const defaults = loadConfig({ env: {} });
  for (const text of ['', '\n', '# nothing\n', '---\n', 'null', '\uFEFF{}', '{}\r\n'])
    assert.deepEqual(load(text), defaults, text);
});

test('upstreams are laid over the defaults by name, key by key', () => {
  const { upstreams } = load('upstreams:\n  docker.io: { tagTtl: 1h }\n  quay.io:\n  a.test:5000: { aliases: [a] }');
  const named = new Map(upstreams.map((each) => [each.name, each]));
  assert.equal(named.has('quay.io'), false);
  assert.deepEqual(named.get('docker.io')?.endpoints, ['https://registry-1.docker.io']);
  assert.equal(named.get('docker.io')?.tagTtl, 3_600_000);
  assert.deepEqual(named.get('a.test:5000')?.endpoints, ['https://a.test:5000']);
  assert.equal(named.get('ghcr.io')?.tagTtl, 300_000);
});
