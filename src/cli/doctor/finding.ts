/** What one check found. */
export interface Finding {
  /** What was looked at: `upstream docker.io`, `port 127.0.0.1:5000`. */
  readonly check: string;
  readonly ok: boolean;
  /** What is there. Never a credential. */
  readonly found: string;
  /** What to do about it; `undefined` where nothing is wrong. */
  readonly remedy: string | undefined;
}

/** It is as it should be. */
export function good(check: string, found: string): Finding {
  return { check, ok: true, found, remedy: undefined };
}

/** It is not. */
export function bad(check: string, found: string, remedy: string): Finding {
  return { check, ok: false, found, remedy };
}

/** The system's name for what went wrong, such as `ENOENT`; the message of what is no error of the system. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
