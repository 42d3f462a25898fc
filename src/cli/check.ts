import { loadConfig } from '../config/load.ts';
import { readWords } from './usage.ts';

/** `weir check`: says that the configuration is valid, or everything that is wrong with it. @throws ConfigError, UsageError */
export function check(words: readonly string[]): Promise<number> {
  const { values } = readWords({ options: { config: { type: 'string' } } }, words);
  const settings = loadConfig({ file: values.config });
  const names = settings.upstreams.map(({ name }) => name).join(' ');
  process.stdout.write(`the configuration is valid; upstreams: ${names}\n`);
  return Promise.resolve(0);
}
