import { loadConfig } from '../config/load.ts';
import { configOptions, readWords } from './usage.ts';

const help = `Usage: weir check [--config FILE]

Validates the configuration, and says everything that is wrong with it, with its place. Ends with 2 when anything is.

Examples:
  weir check --config /etc/weir.yaml
  WEIR_CONFIG=/etc/weir.yaml weir check
`;

/** `weir check`: says that the configuration is valid, or everything that is wrong with it. @throws ConfigError, UsageError */
export async function check(words: readonly string[]): Promise<number> {
  const { values } = readWords({ options: configOptions }, words);
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const settings = loadConfig({ file: values.config });
  const names = settings.upstreams.map(({ name }) => name).join(' ');
  process.stdout.write(`the configuration is valid; upstreams: ${names}\n`);
  return 0;
}
