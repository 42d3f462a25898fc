import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

const threads = [
  ['Hasher', '../../../src/storage/hasher.ts'],
  ['Bcrypt', '../../../src/server/bcrypt.ts'],
] as const;

for (const [name, path] of threads) {
  test(`an idle ${name} does not keep the process from ending`, () => {
    const script = `import { ${name} } from ${JSON.stringify(import.meta.resolve(path))}; new ${name}();`;
    assert.doesNotThrow(() => {
      execFileSync(process.execPath, ['--input-type=module', '--eval', script], { timeout: 30_000 });
    });
  });
}
