import { ConfigError, type ConfigIssue } from '../config/load.ts';

/** The bcrypt hashes of users' passwords, by their names. */
export type Htpasswd = ReadonlyMap<string, string>;

/** A line as `htpasswd -B` writes it. Every step of the cost doubles the time: 16 is seconds, 31 would be days. */
const entry = /^([^:]+):(\$2[aby]\$(?:0[4-9]|1[0-6])\$[./A-Za-z0-9]{53})$/;

/** Reads an htpasswd file. `place` is its name. @throws ConfigError with every line that is no entry, but not what it says. */
export function parseHtpasswd(text: string, place: string): Htpasswd {
  const users = new Map<string, string>();
  const issues: ConfigIssue[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name, hash] = entry.exec(line) ?? [];
    if (name !== undefined && hash !== undefined) users.set(name, hash);
    else
      issues.push({
        place: `${place}:${index + 1}`,
        path: '',
        message: 'expected a line as htpasswd -B writes it, with a cost up to 16',
      });
  }
  if (issues.length > 0) throw new ConfigError(issues);
  return users;
}
