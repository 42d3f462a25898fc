import { type Clock, systemClock } from '../../src/async/clock.ts';
import type { ProxySettings } from '../../src/config/proxy.ts';
import { configSchema } from '../../src/config/schema.ts';
import { completeSettings, type Settings } from '../../src/config/settings.ts';
import type { Log, LogFields } from '../../src/metrics/log.ts';
import { Mirror } from '../../src/mirror.ts';
import { fetchRaw } from './client.ts';
import { tempDir } from './temp.ts';

/** One line of the log. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** A mirror that runs in this process, on ports that the system chose. */
export interface TestMirror {
  readonly url: string;
  readonly adminUrl: string;
  readonly port: number;
  readonly dataDir: string;
  readonly log: readonly LogLine[];
  readonly mirror: Mirror;
  /** The metrics, as scraped. */
  metrics(): Promise<string>;
  close(): Promise<void>;
}

/** What a test wants to be different. */
export interface MirrorOptions {
  /** The keys of the configuration file. */
  readonly config?: unknown;
  readonly clock?: Clock;
  readonly dataDir?: string;
  /** What the proxy variables of the environment say. */
  readonly proxy?: ProxySettings | undefined;
}

/** What ends, and tells others. */
export interface Ends {
  after(end: () => Promise<void>): void;
}

/** Settings from the keys of a configuration file. */
export function settingsOf(config: unknown, proxy?: ProxySettings): Settings {
  return completeSettings(configSchema.parse(config), proxy);
}

/** Starts a mirror; it is closed when the test ends. */
export async function startMirror(test: Ends, options: MirrorOptions = {}): Promise<TestMirror> {
  const dataDir = options.dataDir ?? tempDir();
  const config = { listen: '127.0.0.1:0', admin: '127.0.0.1:0', ...(options.config as object), dataDir };
  const log: LogLine[] = [];
  const mirror = await Mirror.open(settingsOf(config, options.proxy), {
    clock: options.clock ?? systemClock,
    log: collectLog(log),
  });
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= mirror.close();
    return closed;
  };
  test.after(close);
  const { registry, admin } = await mirror.listen();
  const [{ port } = { port: 0 }] = registry;
  const adminUrl = `http://127.0.0.1:${admin.port}`;
  // Not by `fetch`: asked again and again, that stops answering once.
  const metrics = async () => (await fetchRaw(`${adminUrl}/metrics`)).body.toString();
  return { url: `http://127.0.0.1:${port}`, adminUrl, port, dataDir, log, mirror, metrics, close };
}

/** A mirror of one upstream, `up.test`, at these endpoints. */
export function upstreamConfig(endpoints: string | readonly string[], more: object = {}): object {
  return {
    defaultUpstream: 'up.test',
    // Tests count what the upstream was asked: only what their clients ask for is to be fetched, and once, also where
    // the machine is so busy that it looks like a stall.
    prefetch: false,
    upstreams: { 'up.test': { endpoints: [endpoints].flat(), insecure: true, stallTimeout: '20s', ...more } },
  };
}

/** A log that lies in these lines. */
export function collectLog(lines: LogLine[]): Log {
  const level = (name: string) => (fields: LogFields, message: string) =>
    void lines.push({ level: name, message, fields });
  return { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') };
}
