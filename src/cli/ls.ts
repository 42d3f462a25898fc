import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type ImageView, listImages } from '../cache/images.ts';
import { SqliteCatalog } from '../catalog/sqlite.ts';
import { loadConfig } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import { formatSize } from '../config/units.ts';
import { formatReference, parseImageName } from '../oci/image-name.ts';
import { AdminClient, adminOptions, NotRunningError } from './admin-client.ts';
import { checkImage } from './image-command.ts';
import { readWords, UsageError } from './usage.ts';

const help = `Usage: weir ls [IMAGE] [--config FILE] [--admin URL] [--json]

Lists the images that the cache holds: how much of each, when it was used last, whether it is pinned. Where no mirror
runs, the data directory is read.

Examples:
  weir ls
  weir ls docker.io/library/busybox:1.36
  weir ls --json --config /etc/weir.yaml
`;

/** `weir ls`: 1 where the image that is asked for is not there. @throws UsageError, ConfigError, CatalogError; Error */
export async function ls(words: readonly string[]): Promise<number> {
  const { values, positionals } = readWords({ allowPositionals: true, options: adminOptions }, words);
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const [name, ...more] = positionals;
  if (more.length > 0) throw new UsageError('ls takes one image at most');
  if (name !== undefined) checkImage(name);
  const all = await readImages(loadConfig({ file: values.config }), values.admin);
  const images = name === undefined ? all : all.filter((image) => isNamed(image, name));
  if (values.json) process.stdout.write(`${JSON.stringify(images, undefined, 2)}\n`);
  else if (images.length > 0) process.stdout.write(table(images));
  else process.stderr.write(name === undefined ? 'no image is held\n' : `${name} is not held\n`);
  return name !== undefined && images.length === 0 ? 1 : 0;
}

async function readImages(settings: Settings, admin: string | undefined): Promise<readonly ImageView[]> {
  try {
    const answer = await new AdminClient(settings, admin).call('GET', 'images');
    return Array.isArray(answer) ? answer : [];
  } catch (error) {
    if (!(error instanceof NotRunningError) || admin !== undefined) throw error;
    process.stderr.write(`no mirror runs at ${error.place}: this is what ${settings.dataDir} says\n`);
    return readOffline(settings.dataDir);
  }
}

function readOffline(dataDir: string): readonly ImageView[] {
  const path = join(dataDir, 'catalog.db');
  if (!existsSync(path)) return [];
  const catalog = new SqliteCatalog(path);
  try {
    return listImages(catalog);
  } finally {
    catalog.close();
  }
}

function nameOf({ upstream, repository, tag, digest }: ImageView): string {
  return `${upstream}/${repository}${tag === null ? `@${digest}` : `:${tag}`}`;
}

/** Whether an image is the one that is meant: by its tag or digest, with its upstream or, for Docker Hub, without. */
function isNamed(image: ImageView, text: string): boolean {
  const named = parseImageName(text);
  if (named === undefined) return false;
  const full = `${named.name}${formatReference(named.reference)}`;
  const candidates = [
    full,
    `docker.io/${full}`,
    `docker.io/library/${full}`,
    full.replace(/^docker\.io\//, 'docker.io/library/'),
  ];
  return candidates.some(
    (each) => each === nameOf(image) || each === `${image.upstream}/${image.repository}@${image.digest}`,
  );
}

function table(images: readonly ImageView[]): string {
  const rows = images.map((image) => {
    const share = image.complete ? 'complete' : image.digest === null ? 'nothing yet' : `of ${formatSize(image.size)}`;
    const used = image.usedAt === null ? 'never' : new Date(image.usedAt).toISOString().slice(0, 16).replace('T', ' ');
    return [nameOf(image), formatSize(image.held), share, used, image.pinned ? 'pinned' : ''];
  });
  const all = [['IMAGE', 'HELD', '', 'LAST USE (UTC)', ''], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
