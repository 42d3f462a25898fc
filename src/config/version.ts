import { readFileSync } from 'node:fs';

/** The version of this program, as package.json says. */
export function programVersion(): string {
  const json: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const { version } = { version: '', ...(json as object) };
  return version;
}
