import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file of the program, as text. */
export interface SourceFile {
  /** Relative to `src/`, with slashes: `cache/spans.ts`. */
  readonly path: string;
  readonly text: string;
}

const root = join(import.meta.dirname, '../../src');

/** Every source file of the program, in the order of their paths. */
export function readSources(): SourceFile[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.[jt]s$/.test(path))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}
