import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Cancel, Clock } from '../async/clock.ts';
import { ConfigError } from './load.ts';

/** Files that belong together are not replaced at one moment: so long after the first change they are read. */
const settleMs = 200;

/** What becomes of files that have changed. */
export interface RotationEvents<T> {
  /** From now on, this is in force. */
  changed(value: T): void;
  /** What the files hold now cannot be used. What was in force stays. */
  failed(error: unknown): void;
}

/**
 * What files say that others replace while the mirror runs: certificates, lists of passwords. Their directories are
 * watched, not they: Kubernetes replaces a link beside them, and a watched file would never be heard of again.
 */
export class RotatedFiles<T> {
  readonly #paths: readonly string[];
  readonly #parse: (contents: readonly Buffer[]) => T;
  readonly #clock: Clock;
  readonly #events: RotationEvents<T>;
  readonly #watchers: readonly FSWatcher[];
  #contents: readonly Buffer[];
  #current: T;
  #cancel: Cancel | undefined;

  /** Reads the files, and again when they change. @throws ConfigError, and what `parse` throws. */
  constructor(
    paths: readonly string[],
    parse: (contents: readonly Buffer[]) => T,
    clock: Clock,
    events: RotationEvents<T>,
  ) {
    this.#paths = paths;
    this.#parse = parse;
    this.#clock = clock;
    this.#events = events;
    this.#contents = paths.map(readContent);
    this.#current = parse(this.#contents);
    this.#watchers = [...new Set(paths.map(dirname))].map((directory) => this.#watch(directory));
  }

  /** What is in force. */
  get current(): T {
    return this.#current;
  }

  /** Reads the files now, whether or not they have changed. */
  reread(): void {
    this.#read(true);
  }

  close(): void {
    this.#cancel?.();
    for (const watcher of this.#watchers) watcher.close();
  }

  #watch(directory: string): FSWatcher {
    const watcher = watch(directory, { persistent: false }, () => {
      this.#cancel ??= this.#clock.after(settleMs, () => this.#read(false));
    });
    // The directory is gone, and with it whatever could change.
    watcher.on('error', () => watcher.close());
    return watcher;
  }

  #read(always: boolean): void {
    this.#cancel?.();
    this.#cancel = undefined;
    try {
      const contents = this.#paths.map(readContent);
      if (!always && contents.every((content, index) => this.#contents[index]?.equals(content))) return;
      this.#contents = contents;
      this.#current = this.#parse(contents);
      this.#events.changed(this.#current);
    } catch (error) {
      this.#events.failed(error);
    }
  }
}

function readContent(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new ConfigError([{ place: path, path: '', message: `the file cannot be read (${code})` }]);
  }
}
