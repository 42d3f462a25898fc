import { ConfigError, loadConfig } from '../config/load.ts';
import { configOptions, readWords } from './usage.ts';

const help = `Usage: weir check [--config FILE] [--json]

Validates the configuration, and says everything that is wrong with it, with its place. Ends with 2 when anything is.

Examples:
  weir check --config /etc/weir.yaml
  weir check --config /etc/weir.yaml --json
  WEIR_CONFIG=/etc/weir.yaml weir check
`;

const options = { ...configOptions, json: { type: 'boolean' } } as const;

/**
 * `weir check`: says that the configuration is valid, or everything that is wrong with it; with `--json` as data.
 * @throws ConfigError, unless that is told as data; UsageError
 */
export async function check(words: readonly string[]): Promise<number> {
  const { values } = readWords({ options }, words);
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  try {
    const upstreams = loadConfig({ file: values.config }).upstreams.map(({ name }) => name);
    const valid = { valid: true, upstreams, issues: [] };
    process.stdout.write(
      values.json ? asText(valid) : `the configuration is valid; upstreams: ${upstreams.join(' ')}\n`,
    );
    return 0;
  } catch (error) {
    if (!values.json || !(error instanceof ConfigError)) throw error;
    process.stdout.write(asText({ valid: false, upstreams: [], issues: error.issues }));
    return 2;
  }
}

function asText(json: object): string {
  return `${JSON.stringify(json, undefined, 2)}\n`;
}
