import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSources, type SourceFile } from './support/sources.ts';

/** A rule of the house: says what breaks it in one file. Read line by line; what is not indented is the module's own. */
type Rule = (file: SourceFile) => readonly string[];

const maxLines = 300;

const clockOwners: Readonly<Record<string, string>> = {
  'async/clock.ts': 'it is the clock',
  'server/dashboard/time.js': 'it is the clock of a page in a browser',
  'cli/logger.ts': 'its timer empties the log of the process, and decides nothing',
};

const threadEntries: Readonly<Record<string, string>> = {
  'storage/hash-worker.ts': 'the module is the whole of its thread',
};

const codeOf = ({ text }: SourceFile) => text.split('\n').filter((line) => !/^\s*(?:\/\/|\/?\*)/.test(line));

function linesWith(file: SourceFile, pattern: RegExp): string[] {
  return codeOf(file).filter((line) => pattern.test(line));
}

const rules: Readonly<Record<string, Rule>> = {
  'a file has at most 300 lines': ({ text }) => {
    const lines = text.trimEnd().split('\n').length;
    return lines > maxLines ? [`${lines} lines`] : [];
  },

  'a module has no variables': (file) => linesWith(file, /^(?:export )?(?:let|var)\b/),

  'what a module makes, it never changes': (file) => {
    const names = codeOf(file).flatMap((line) => /^(?:export )?const (\w+)\b/.exec(line)?.[1] ?? []);
    const changes = 'add|set|delete|clear|push|pop|shift|unshift|splice|sort|reverse|fill|copyWithin';
    return names.flatMap((name) =>
      linesWith(
        file,
        new RegExp(`(?<![.\\w])${name}(?:\\.(?:${changes})\\(|(?:\\.\\w+|\\[[^\\]]+\\])+ [-+*?|&]*=(?!=))`),
      ),
    );
  },

  'a module makes nothing but constant sets and maps': (file) =>
    file.path in threadEntries ? [] : linesWith(file, /^(?:export )?const \w+[^=]*= (?!new (?:Set|Map)\(\[)new\b/),

  'the environment is read in config/ only': (file) =>
    /^(?:config\/|weir\.js$)/.test(file.path)
      ? []
      : linesWith(file, /\bprocess(?:\.env\b|\[)|\benv\b.* from 'node:process'/),

  'time is the clock’s': (file) =>
    file.path in clockOwners
      ? []
      : linesWith(
          file,
          /\b(?:setTimeout|setInterval|hrtime)\b|\b(?:Date|performance)\.now\b|\bnew Date\(\)|\bDate\(\)|AbortSignal\.timeout/,
        ),

  'exports have names': (file) => linesWith(file, /^export (?:default\b|\*|\{.*\bas default\b)/),

  'nothing is inherited from but Error': (file) => linesWith(file, /\bclass\b.*\bextends (?!Error\b)/),

  'what is exported says what it is': ({ text }) => {
    const lines = text.split('\n');
    return lines.filter((line, at) => {
      const isDeclaration =
        /^export (?:declare |abstract |async )*(?:class|const|enum|function|interface|type) \w/.test(line);
      const before = lines[at - 1] ?? '';
      // Constants that stand together share one comment.
      return (
        isDeclaration && !/\*\/$/.test(before) && !(/^export const/.test(line) && /^export const .*;$/.test(before))
      );
    });
  },
};

function broken(files: readonly SourceFile[]): string[] {
  return Object.entries(rules).flatMap(([rule, check]) =>
    files.flatMap((file) => check(file).map((what) => `${file.path}: ${rule}: ${what.trim()}`)),
  );
}

test('the house keeps its rules', () => {
  assert.deepEqual(broken(readSources()), []);
});

const bad: Readonly<Record<string, string>> = {
  'a file has at most 300 lines': 'x\n'.repeat(maxLines + 1),
  'a module has no variables': 'export let count = 0;',
  'what a module makes, it never changes': 'const seen = [];\nfunction see() {\n  seen.push(1);\n}',
  'a module makes nothing but constant sets and maps': 'const flights = new Map<string, number>();',
  'the environment is read in config/ only': `  if (process.env['DEBUG']) log();`,
  'time is the clock’s': '  setTimeout(wake, 10);',
  'exports have names': 'export default 1;',
  'nothing is inherited from but Error': 'class Hub extends EventEmitter {',
  'what is exported says what it is': 'export const limit = 1;',
};

for (const [rule, text] of Object.entries(bad)) {
  test(`it is noticed where this is broken: ${rule}`, () => {
    assert.deepEqual(
      broken([{ path: 'cache/bad.ts', text }]).map((line) => line.split(': ')[1]),
      [rule],
    );
  });
}

test('every rule is known to be noticed', () => {
  assert.deepEqual(Object.keys(bad), Object.keys(rules));
});

test('changes of what a module holds are noticed in every shape', () => {
  const changes = [
    'kinds.set(1, 2);',
    'kinds.left = 1;',
    'kinds[0] = 1;',
    'kinds.deep.count += 1;',
    'kinds.left ??= 1;',
  ];
  const reads = [
    'kinds.has(1);',
    'if (kinds.left === 1) x();',
    'this.kinds.add(1);',
    'mykinds.add(1);',
    'kinds[0] === 1;',
  ];
  for (const line of [...changes, ...reads]) {
    const text = `const kinds = make();\n  ${line}`;
    assert.equal(broken([{ path: 'cache/bad.ts', text }]).length, changes.includes(line) ? 1 : 0, line);
  }
});
