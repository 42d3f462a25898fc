import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DockerRegistry } from './docker-registry.ts';
import { OciLayout } from './oci-layout.ts';
import { attempt, run } from './program.ts';
import { tempDir } from './temp.ts';

/** What `realImage` needs, and a registry of it. */
export const imagePrograms = ['umoci', 'tar', 'busybox', 'docker-registry', 'skopeo'] as const;

/** Real images, twice. */
export interface RealImage {
  readonly layout: OciLayout;
  /** The same, as docker-registry keeps them: `demo/app:v1` and `demo/app:multi`. Not to be written to. */
  readonly registryDir: string;
}

/** The repository in `registryDir`. */
export const repository = 'demo/app';

const cache = join(import.meta.dirname, '../../node_modules/.cache/weir-test');
const packages = ['busybox-static', 'base-files'];

/**
 * Images of a real root file system: `v1` has Debian packages, random bytes, a whiteout and a tiny last layer; `multi`
 * is an index of that for amd64 and of a sibling for arm64. Built once for all test files of a checkout.
 */
export async function realImage(): Promise<RealImage> {
  const recipe = createHash('sha256')
    .update(readFileSync(import.meta.filename))
    .digest('hex')
    .slice(0, 16);
  const dir = join(cache, recipe);
  if (!existsSync(dir)) {
    mkdirSync(cache, { recursive: true });
    const draft = mkdtempSync(join(cache, 'draft-'));
    await build(new OciLayout(join(draft, 'layout')), join(draft, 'registry'));
    if (!existsSync(dir)) renameSync(draft, dir);
  }
  return { layout: new OciLayout(join(dir, 'layout')), registryDir: join(dir, 'registry') };
}

async function build(layout: OciLayout, registryDir: string): Promise<void> {
  await compose(layout.dir);
  layout.addIndex('multi', { amd64: 'v1', arm64: 'arm64' });
  mkdirSync(registryDir);
  const registry = await DockerRegistry.start(registryDir);
  for (const tag of ['v1', 'multi']) {
    const [source, target] = [`oci:${layout.dir}:${tag}`, `docker://${registry.authority}/${repository}:${tag}`];
    await run(['skopeo', 'copy', '--all', '--quiet', '--dest-tls-verify=false', source, target]);
  }
  await registry.stop();
}

async function compose(layout: string): Promise<void> {
  const work = tempDir();
  const file = (name: string, content: Buffer | string) => {
    writeFileSync(join(work, name), content);
    return join(work, name);
  };
  const v1 = ['--image', `${layout}:v1`];
  const arm64 = ['--image', `${layout}:arm64`];
  await run(['umoci', 'init', '--layout', layout]);
  await run(['umoci', 'new', ...v1]);
  await run(['umoci', 'raw', 'add-layer', ...v1, await rootFileSystem(join(work, 'root.tar'))]);
  await run(['umoci', 'insert', ...v1, file('noise', randomBytes(3_000_000)), '/srv/noise']);
  await run(['umoci', 'insert', ...v1, '--whiteout', '/usr/share/doc']);
  await run(['umoci', 'config', ...v1, '--config.entrypoint', '/bin/busybox', '--architecture', 'amd64']);
  await run(['umoci', 'tag', ...v1, 'arm64']);
  await run(['umoci', 'config', ...arm64, '--architecture', 'arm64']);
  await run(['umoci', 'insert', ...arm64, file('other', randomBytes(200_000)), '/srv/other']);
  await run(['umoci', 'insert', ...v1, file('greeting', 'hello\n'), '/etc/greeting']);
  await run(['umoci', 'gc', '--layout', layout]);
}

/** Debian packages as they are unpacked; where Debian cannot be reached, what this machine has of them. */
async function rootFileSystem(archive: string): Promise<string> {
  const include = `--include=${packages.join(',')}`;
  const { code } = await attempt(['mmdebstrap', '--quiet', '--variant=extract', include, 'bookworm', archive]).catch(
    () => ({ code: 127 }),
  );
  if (code !== 0)
    await run(['tar', '--create', '--file', archive, '--directory', '/', 'bin/busybox', 'usr/share/zoneinfo']);
  return archive;
}
