/** Facts of one log line. Never a credential, never a signed URL. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where events are written, each with its facts first and a constant message. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** What an error says in a log line: its kind and its message, no stack for what is expected. */
export function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
