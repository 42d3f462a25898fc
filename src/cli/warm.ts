import { readFileSync } from 'node:fs';
import { systemClock } from '../async/clock.ts';
import { loadConfig } from '../config/load.ts';
import { formatSize } from '../config/units.ts';
import { AdminClient, adminOptions } from './admin-client.ts';
import { reasonOf } from './doctor/finding.ts';
import { checkImage } from './image-command.ts';
import { Progress } from './progress.ts';
import { readWords, UsageError } from './usage.ts';

const help = `Usage: weir warm IMAGE… [--from FILE] [--platform OS/ARCH…] [--mirror URL] [--config FILE] [--json]

Brings images into the cache of a running mirror: for all platforms, or those that are named. What has come stays, so
that calling it again goes on from there. Ends with 1 when anything is missing. --mirror is the mirror's admin address.

Examples:
  weir warm docker.io/library/nginx:1.27 registry.k8s.io/pause:3.10
  weir warm nginx --platform linux/amd64 --platform linux/arm64
  weir warm --from images.txt --mirror http://mirror.example.com:5001
`;

const options = {
  ...adminOptions,
  mirror: { type: 'string' },
  from: { type: 'string' },
  platform: { type: 'string', multiple: true },
} as const;

/** `weir warm`. @throws UsageError, ConfigError, NotRunningError; Error with what the mirror said */
export async function warm(words: readonly string[]): Promise<number> {
  const { values, positionals } = readWords({ allowPositionals: true, options }, words);
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const images = [...positionals, ...(values.from === undefined ? [] : readList(values.from))];
  if (images.length === 0) throw new UsageError('expected the name of an image, or --from FILE; --help says more');
  for (const image of images) checkImage(image);
  const client = new AdminClient(loadConfig({ file: values.config }), values.mirror ?? values.admin);
  const body = { images, ...(values.platform === undefined ? {} : { platforms: values.platform }) };
  const report = new Report(values.json === true);
  for await (const line of client.lines('POST', 'warm', body)) report.take(line);
  report.end();
  return report.complete === images.length ? 0 : 1;
}

/** One image a line; empty lines and what follows a # do not count. @throws UsageError */
function readList(file: string): string[] {
  const lines = readText(file).split('\n');
  return lines.map((line) => line.replace(/#.*/, '').trim()).filter((line) => line !== '');
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--from ${file} cannot be read (${reasonOf(error)})`);
  }
}

/** What is said of images that are being brought. */
class Report {
  readonly #json: boolean;
  readonly #progress = process.stderr.isTTY ? new Progress(process.stderr, systemClock) : undefined;
  readonly #sizes = new Map<string, number>();
  complete = 0;

  constructor(json: boolean) {
    this.#json = json;
  }

  take(line: Record<string, unknown>): void {
    if (this.#json) process.stdout.write(`${JSON.stringify(line)}\n`);
    const { image, digest, size, held, error, complete } = line;
    if (typeof size === 'number' && typeof held === 'number') {
      this.#sizes.set(String(digest), size);
      this.#progress?.update(String(digest).slice(0, 19), size, held);
    } else if (error !== undefined) {
      this.#say(`${image}: ${digest === undefined ? '' : `${digest}: `}${error}`);
    } else if (complete !== undefined) {
      const total = [...this.#sizes.values()].reduce((sum, each) => sum + each, 0);
      this.#sizes.clear();
      if (complete === true) this.complete++;
      this.#say(`${image}: ${complete === true ? `complete, ${formatSize(total)}` : 'NOT complete'}`);
    }
  }

  end(): void {
    this.#progress?.clear();
  }

  #say(line: string): void {
    if (this.#progress) this.#progress.say(line);
    else process.stderr.write(`${line}\n`);
  }
}
