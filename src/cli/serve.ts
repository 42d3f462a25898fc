import { once } from 'node:events';
import { systemClock } from '../async/clock.ts';
import { loadConfig } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import { formatSize } from '../config/units.ts';
import { programVersion } from '../config/version.ts';
import { Mirror } from '../mirror.ts';
import type { Bound } from '../server/app.ts';
import { withRemedy } from './doctor/ports.ts';
import { openLog } from './logger.ts';
import { type Reloading, watchConfig } from './reload.ts';
import { configOptions, readWords } from './usage.ts';

const help = `Usage: weir serve [--config FILE]

Runs the mirror until SIGTERM or SIGINT: then pulls that have begun are served to their end, up to drainTimeout. SIGHUP,
and a change of the file, put the new configuration in force. Without a file, the defaults count: the registry API is at
127.0.0.1:5000, and the cache in ./data.

Examples:
  weir serve
  weir serve --config /etc/weir.yaml
  WEIR_LISTEN=0.0.0.0:5000 WEIR_DATA_DIR=/var/lib/weir weir serve
`;

/**
 * `weir serve`: runs the mirror until SIGTERM or SIGINT, then drains it. A second signal ends it at once. SIGHUP, and a
 * change of the configuration file, put the new configuration in force.
 * @throws ConfigError, UsageError; CatalogError, StorageError and the system's errors at the start.
 */
export async function serve(words: readonly string[]): Promise<number> {
  const { values } = readWords({ options: configOptions }, words);
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const settings = loadConfig({ file: values.config });
  const { log, flush } = openLog(settings.log);
  const mirror = await Mirror.open(settings, { clock: systemClock, log });
  let reloading: Reloading | undefined;
  try {
    const { registry, admin } = await mirror.listen().catch((error: unknown) => {
      throw withRemedy(error);
    });
    process.stderr.write(greeting(settings, registry, admin));
    log.info({ listen: registry, admin, dataDir: settings.dataDir }, 'listening');
    reloading = watchConfig({ file: values.config, clock: systemClock, log, mirror });
    process.on('SIGHUP', reloading.reload);
    const signal = await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
    log.info({ signal: signal[0] }, 'draining');
    await Promise.race([mirror.drain(), once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  } finally {
    reloading?.close();
    await mirror.close();
    log.info({}, 'closed');
    flush();
  }
  return 0;
}

function greeting(settings: Settings, registry: readonly Bound[], admin: Bound): string {
  const [first] = registry;
  const mirror = first === undefined ? '' : authority(first);
  const names = settings.upstreams.map(({ name }) => name);
  const image = names.includes('docker.io')
    ? 'docker.io/library/busybox:latest'
    : `${names[0] ?? 'UPSTREAM'}/REPOSITORY:TAG`;
  return `
  weir ${programVersion()}

  registry API   ${registry.map(authority).join('  ')}
  dashboard      http://${authority(admin)}/
  metrics        http://${authority(admin)}/metrics
  cache          ${settings.dataDir}  (up to ${formatSize(settings.cache.maxSize)})
  upstreams      ${names.join(' ')}

  Pull something through it:

    skopeo copy --src-tls-verify=false docker://${mirror}/${image} dir:/tmp/image

`;
}

function authority({ host, port }: Bound): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
