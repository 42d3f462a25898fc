import { isDeepStrictEqual } from 'node:util';
import type { Settings } from './settings.ts';

/** What came of new settings: dotted keys. */
export interface Replacement {
  /** These have another value from now on. */
  readonly changed: readonly string[];
  /** These keep their value until the next start. */
  readonly postponed: readonly string[];
}

/** The settings in force. What may change while the mirror runs is read here at each use. */
export class InForce {
  #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Puts new settings in force, but for those that the mirror is built on. */
  replace(next: Settings): Replacement {
    const now = this.#settings;
    const { listen, admin, dataDir, tls } = now;
    const clients = { ...next.clients, htpasswd: now.clients.htpasswd };
    const log = { ...next.log, format: now.log.format };
    this.#settings = { ...next, listen, admin, dataDir, tls, clients, log };
    return { changed: differences(now, this.#settings), postponed: differences(this.#settings, next) };
  }

  /** What follows from the settings, made anew at its first use after they were replaced. */
  derived<T>(make: (settings: Settings) => T): () => T {
    let known: { readonly of: Settings; readonly value: T } | undefined;
    return () => {
      if (known?.of !== this.#settings) known = { of: this.#settings, value: make(this.#settings) };
      return known.value;
    };
  }
}

function differences(one: object, other: object): string[] {
  const after = new Map<string, unknown>(Object.entries(other));
  return Object.entries(one).flatMap(([key, value]: [string, unknown]) => {
    const next = after.get(key);
    if (isDeepStrictEqual(value, next)) return [];
    return isSection(value) && isSection(next) ? differences(value, next).map((inner) => `${key}.${inner}`) : key;
  });
}

function isSection(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
