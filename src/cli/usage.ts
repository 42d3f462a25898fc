import { type ParseArgsConfig, parseArgs } from 'node:util';

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
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
