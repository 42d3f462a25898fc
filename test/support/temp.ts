import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Directories of one test file. They are removed when its process ends, after whatever still writes to them. */
class TempDirs {
  #root: string | undefined;
  #count = 0;

  make(): string {
    this.#root ??= this.#makeRoot();
    const dir = join(this.#root, String(++this.#count));
    mkdirSync(dir);
    return dir;
  }

  #makeRoot(): string {
    const root = mkdtempSync(join(tmpdir(), 'weir-test-'));
    process.once('exit', () => rmSync(root, { recursive: true, force: true }));
    return root;
  }
}

const dirs = new TempDirs();

/** An empty directory. */
export function tempDir(): string {
  return dirs.make();
}
