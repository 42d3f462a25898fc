import { destination, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import type { Settings } from '../config/settings.ts';

/** So many bytes are gathered before they are written, and never longer than `flushEvery` milliseconds. */
const gather = 4096;
const flushEvery = 200;

/** The program's log, and how to empty it before the end. */
export interface Logging {
  readonly log: Logger;
  flush(): void;
}

/** Opens the log on stdout: JSON lines, or something to read on a terminal. */
export function openLog({ level, format }: Settings['log']): Logging {
  if ((format ?? (process.stdout.isTTY ? 'pretty' : 'json')) === 'pretty') {
    const stream = pretty({ translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname', singleLine: true });
    return { log: pino({ level, base: null }, stream), flush: () => {} };
  }
  const stream = destination({ dest: 1, sync: false, minLength: gather });
  setInterval(() => stream.flush(), flushEvery).unref();
  return {
    log: pino({ level, base: null, formatters: { level: (label) => ({ level: label }) } }, stream),
    flush: () => stream.flushSync(),
  };
}
