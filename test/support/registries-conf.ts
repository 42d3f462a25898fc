import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './temp.ts';

/** Writes a registries.conf (containers-registries.conf(5)) that asks these mirrors, in order, before docker.io. */
export function writeRegistriesConf(mirrors: readonly string[], origin = 'docker.io'): string {
  const file = join(tempDir(), 'registries.conf');
  const tables = mirrors.map((location) => `[[registry.mirror]]\nlocation = "${location}"\ninsecure = true\n`);
  writeFileSync(
    file,
    `[[registry]]\nprefix = "docker.io"\nlocation = "${origin}"\ninsecure = true\n${tables.join('')}`,
  );
  return file;
}
