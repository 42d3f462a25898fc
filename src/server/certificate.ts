import { createSecureContext, type Server } from 'node:tls';
import type { Clock } from '../async/clock.ts';
import { ConfigError } from '../config/load.ts';
import { RotatedFiles } from '../config/rotated-files.ts';
import type { Settings } from '../config/settings.ts';
import { describeError, type Log } from '../metrics/log.ts';

interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** The certificate and key of the listener, as their files say now. */
export class Certificate {
  readonly #files: RotatedFiles<KeyPair>;
  readonly #servers: Server[] = [];

  /** @throws ConfigError when the files cannot be read, or are no pair. */
  constructor({ cert, key }: NonNullable<Settings['tls']>, clock: Clock, log: Log) {
    this.#files = new RotatedFiles([cert, key], (contents) => readPair(contents, cert), clock, {
      changed: (pair) => {
        for (const server of this.#servers) server.setSecureContext(pair);
        log.info({ cert }, 'the certificate was replaced');
      },
      failed: (error) => {
        log.error({ cert, error: describeError(error) }, 'the new certificate cannot be used, the old one stays');
      },
    });
  }

  /** Gives a server the pair in force, and every later one. Connections keep what they began with. */
  serve(server: Server): void {
    server.setSecureContext(this.#files.current);
    this.#servers.push(server);
  }

  close(): void {
    this.#files.close();
  }
}

function readPair([cert = Buffer.alloc(0), key = Buffer.alloc(0)]: readonly Buffer[], place: string): KeyPair {
  try {
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new ConfigError([{ place, path: 'tls', message: `no certificate with its key (${code})` }]);
  }
}
