import { type ParseArgsConfig, parseArgs } from 'node:util';
import { nearest } from './nearest.ts';

/** A command was called in a way that it does not understand. The message says how it is called. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Flags of all commands that need nothing but the configuration. */
export const configOptions = { config: { type: 'string' }, help: { type: 'boolean' } } as const;

/** Reads the words behind a command's name. @throws UsageError */
export function readWords<T extends ParseArgsConfig>(
  config: T,
  words: readonly string[],
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs<T>({ ...config, args: [...words] });
  } catch (error) {
    const flag = strangeFlag(Object.keys(config.options ?? {}), words);
    if (flag === undefined) throw new UsageError(error instanceof Error ? error.message : String(error));
    const near = nearest(flag, Object.keys(config.options ?? {}));
    throw new UsageError(
      `there is no --${flag}; ${near === undefined ? '--help lists them' : `did you mean --${near}?`}`,
    );
  }
}

/** The first flag that a command does not have. */
function strangeFlag(known: readonly string[], words: readonly string[]): string | undefined {
  const end = words.indexOf('--');
  const flags = words.slice(0, end < 0 ? undefined : end).flatMap((word) => /^--([^=]+)/.exec(word)?.[1] ?? []);
  return flags.find((flag) => !known.includes(flag));
}
