import type { Clock } from '../async/clock.ts';
import { configFile, loadConfig } from '../config/load.ts';
import { RotatedFiles } from '../config/rotated-files.ts';
import type { Settings } from '../config/settings.ts';
import { describeError, type Log } from '../metrics/log.ts';
import type { Mirror } from '../mirror.ts';

/** What a reload works with. */
export interface ReloadParts {
  /** The `--config` flag. */
  readonly file: string | undefined;
  readonly clock: Clock;
  readonly log: Log & { level: string };
  readonly mirror: Pick<Mirror, 'reconfigure'>;
}

/** Whoever reloads the configuration. */
export interface Reloading {
  /** Reads the configuration again, whether or not its file has changed. */
  reload(): void;
  /** Ends the watch over the file. */
  close(): void;
}

/**
 * Puts the configuration in force anew whenever its file changes. One that cannot be used changes nothing.
 * @throws ConfigError when it cannot be used just now.
 */
export function watchConfig({ file, clock, log, mirror }: ReloadParts): Reloading {
  const path = configFile({ file });
  if (path === undefined) {
    return { reload: () => log.warn({}, 'there is no configuration file to read again'), close: () => {} };
  }
  const failed = (error: unknown) =>
    log.error({ config: path, error: describeError(error) }, 'the new configuration cannot be used, the old one stays');
  const changed = (settings: Settings) => {
    const { changed: keys, postponed } = mirror.reconfigure(settings);
    log.level = settings.log.level;
    log.info({ config: path, keys }, 'the configuration was read again');
    if (postponed.length > 0) log.warn({ config: path, keys: postponed }, 'these keys count after a restart only');
  };
  const files = new RotatedFiles([path], () => loadConfig({ file }), clock, { changed, failed });
  return { reload: () => files.reread(), close: () => files.close() };
}
