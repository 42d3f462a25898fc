import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Why a test with these programs cannot run here, for its option `skip`; `false` when it can. With
 * `WEIR_REQUIRE_CLIENTS=1` it has to run, and fails for want of what is missing.
 */
export function lacking(programs: readonly string[], { root = false } = {}): string | false {
  if (process.env['WEIR_REQUIRE_CLIENTS'] === '1') return false;
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`;
  return root && process.getuid?.() !== 0 ? 'only root can run this' : false;
}

function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => isExecutable(join(directory, program)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
