import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'smol-toml';
import { containerdFiles } from '../../src/cli/client-config/containerd.ts';
import { crioFiles } from '../../src/cli/client-config/containers.ts';
import { dockerFiles } from '../../src/cli/client-config/docker.ts';
import { completeSettings } from '../../src/config/settings.ts';

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** The blocks of code in one language. */
function blocks(language: string): string[] {
  const found = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, name]) => name === language);
  const texts = found.map(([, , text = '']) => text);
  assert.notEqual(texts.length, 0, `README.md has no ${language}`);
  return texts;
}

function all(pattern: RegExp): string[] {
  return [...readme.matchAll(pattern)].flatMap(([, found]) => found ?? []);
}

test('every npm script that README.md names exists, and every command of the program', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const named = ['start', 'test', ...all(/npm run (?:-s )?([a-z:]+)/g)];
  assert.ok(readme.includes('npm ci && npm start') && readme.includes('npm ci && npm test'));
  assert.deepEqual(
    named.filter((name) => !Object.hasOwn(scripts, name)),
    [],
  );
  const help = execFileSync(process.execPath, [join(root, 'src/weir.js'), '--help'], { encoding: 'utf8' });
  for (const command of all(/npm run -s weir -- ([a-z-]+)/g)) assert.match(help, new RegExp(`^ +${command} `, 'm'));
});

test('the mirror locations for nodes in README.md are upstreams of the mirror', () => {
  const names = new Set(completeSettings({}).upstreams.map(({ name }) => name));
  const [containers = '', containerd = ''] = blocks('toml');
  const { registry } = parse(containers);
  assert.ok(Array.isArray(registry) && registry.length > 0);
  for (const { prefix, location, mirror } of registry as {
    prefix: string;
    location: string;
    mirror: [{ location: string }];
  }[]) {
    assert.equal(prefix, location);
    assert.ok(names.has(prefix), prefix);
    assert.match(mirror[0].location, new RegExp(`^[a-z.]+:5000/${prefix}$`));
  }
  assert.deepEqual(Object.keys(parse(containerd)), ['server', 'host']);
});

test('README.md shows for nodes what client-config prints, at the same paths', () => {
  const mirror = { authority: 'mirror.example.com:5000', tls: false, upstreams: ['docker.io', 'quay.io'] };
  const [containers = '', containerd = ''] = blocks('toml');
  const shown = [containers, containerd, blocks('json')[0] ?? ''];
  const printed = [crioFiles, containerdFiles, dockerFiles].map((filesFor) => filesFor(mirror).files[0]);
  for (const [index, parseText] of [parse, parse, JSON.parse].entries()) {
    assert.deepEqual(parseText(shown[index] ?? ''), parseText(printed[index]?.content ?? ''));
    assert.ok(readme.includes(`\`${printed[index]?.path}\``), printed[index]?.path);
  }
});

test('the tree in README.md shows all of src, and nothing else', () => {
  const [, block = ''] = /^src\/$(.*?)^```$/ms.exec(readme) ?? [];
  const tree = [...block.matchAll(/^ {2}(\S+) +\S/gm)].flatMap(([, name]) => name ?? []);
  const entries = readdirSync(join(root, 'src'), { withFileTypes: true });
  const present = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
  assert.deepEqual(tree.toSorted(), present.toSorted());
});
