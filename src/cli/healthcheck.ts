import { loadConfig } from '../config/load.ts';
import { ask, registryUrl } from './ask.ts';
import { configOptions, readWords } from './usage.ts';

const help = `Usage: weir healthcheck [--config FILE]

Asks the mirror that runs here whether it can serve: ends with 0 if so. For container images without a shell.

Examples:
  weir healthcheck
  weir healthcheck --config /etc/weir.yaml
`;

/** Less than what container engines and Kubernetes give a check, in milliseconds. */
const patience = 4000;
/** So much of the answer is told. */
const reasonBytes = 1000;

/**
 * `weir healthcheck`: asks the mirror that runs here with this configuration whether it can serve. For container images
 * without a shell. @throws ConfigError, UsageError; Error with the reason why it cannot
 */
export async function healthcheck(words: readonly string[]): Promise<number> {
  const { values } = readWords({ options: configOptions }, words);
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const url = new URL('/readyz', registryUrl(loadConfig({ file: values.config })));
  const { status, body } = await ask(url, { patience });
  if (status === 200) return 0;
  throw new Error(`the mirror is not ready: ${status} ${body.toString('utf8', 0, reasonBytes).trim()}`);
}
