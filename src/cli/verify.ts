import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../async/clock.ts';
import { Demotion } from '../cache/demotion.ts';
import { Scrubber } from '../cache/scrubber.ts';
import { SqliteCatalog } from '../catalog/sqlite.ts';
import { loadConfig } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import { Metrics } from '../metrics/metrics.ts';
import { DiskStorage } from '../storage/disk.ts';
import { AdminClient, adminOptions, NotRunningError } from './admin-client.ts';
import { readWords, UsageError } from './usage.ts';

const help = `Usage: weir verify [--repair] [--config FILE] [--admin URL] [--json]

Hashes every stored blob. What is damaged is not served any more: it is fetched again when somebody asks for it, as far
as it is damaged, and with --repair at once. Only a running mirror can fetch: where none runs, the data directory is
read, what is damaged is marked, with or without --repair, and the next mirror fetches it when somebody asks for it.
Ends with 1 when anything is wrong and was not repaired.

Examples:
  weir verify
  weir verify --repair --config /etc/weir.yaml
`;

const markedOnly = '; nothing is repaired, what is damaged is marked for the next mirror to fetch';

/** `weir verify`. @throws UsageError, ConfigError, CatalogError, StorageError; Error with what the mirror said */
export async function verify(words: readonly string[]): Promise<number> {
  const options = { ...adminOptions, repair: { type: 'boolean' } } as const;
  const { values, positionals } = readWords({ allowPositionals: true, options }, words);
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  if (positionals.length > 0) throw new UsageError('verify takes no names; --help says more');
  const settings = loadConfig({ file: values.config });
  const lines: Record<string, unknown>[] = [];
  for await (const line of verdicts(settings, values.admin, values.repair === true)) {
    process.stdout.write(values.json ? `${JSON.stringify(line)}\n` : describe(line));
    lines.push(line);
  }
  const wrong = lines.filter((line) => line['verdict'] !== 'right' && line['repaired'] !== true).length;
  process.stderr.write(`${lines.length} blobs, ${wrong} wrong\n`);
  return wrong === 0 ? 0 : 1;
}

/** Nothing is said of what is right. */
function describe({ digest, verdict, repaired }: Record<string, unknown>): string {
  return verdict === 'right' ? '' : `${digest} is ${verdict}${repaired === true ? ', repaired' : ''}\n`;
}

async function* verdicts(
  settings: Settings,
  admin: string | undefined,
  repair: boolean,
): AsyncGenerator<Record<string, unknown>> {
  try {
    yield* new AdminClient(settings, admin).lines('POST', 'verify', { repair });
  } catch (error) {
    if (!(error instanceof NotRunningError) || admin !== undefined) throw error;
    process.stderr.write(
      `no mirror runs at ${error.place}: ${settings.dataDir} is verified${repair ? markedOnly : ''}\n`,
    );
    yield* verdictsOffline(settings.dataDir);
  }
}

/** Where no mirror has ever been, nothing is there to verify, and nothing is made. */
async function* verdictsOffline(dataDir: string): AsyncGenerator<Record<string, unknown>> {
  if (!existsSync(dataDir)) return;
  const storage = await DiskStorage.open(dataDir);
  const catalog = new SqliteCatalog(join(dataDir, 'catalog.db'));
  try {
    const silent = { debug() {}, info() {}, warn() {}, error() {} };
    const shared = { catalog, storage, clock: systemClock, demoted() {} };
    const scrubber = new Scrubber({ ...shared, demotion: new Demotion(shared), metrics: new Metrics(), log: silent });
    const { signal } = new AbortController();
    await scrubber.adopt(signal);
    for (const digest of scrubber.digests()) {
      yield { digest, verdict: await scrubber.verify(digest, signal), repaired: false };
    }
  } finally {
    catalog.close();
    await storage.close();
  }
}
