import { readFileSync } from 'node:fs';
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import type { z } from 'zod';
import { readProxyVariables } from './proxy.ts';
import { type ConfigFile, configSchema } from './schema.ts';
import { completeSettings, type Settings } from './settings.ts';

/** One thing that is wrong with the configuration, and where: `file:line:col path: message`. */
export interface ConfigIssue {
  /** A file with line and column (from 1), or the name of an environment variable or flag. */
  readonly place: string;
  /** The key, dotted; empty where the file as a whole is meant. */
  readonly path: string;
  readonly message: string;
}

/** The configuration cannot be used. Holds everything that is wrong with it, at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly issues: readonly ConfigIssue[];

  constructor(issues: readonly ConfigIssue[]) {
    super(issues.map(({ place, path, message }) => `${place}${path ? ` ${path}` : ''}: ${message}`).join('\n'));
    this.issues = issues;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the configuration comes from: a flag counts before the environment, that before the file. */
export interface ConfigSources {
  /** The `--config` flag. */
  readonly file?: string | undefined;
  /** Default: the environment of this process. */
  readonly env?: Environment;
}

/** The file that the configuration is read from; `undefined` where there is none. */
export function configFile({ file, env = process.env }: ConfigSources): string | undefined {
  return file ?? (env['WEIR_CONFIG'] || undefined);
}

/**
 * Reads, checks and completes the configuration.
 * @throws ConfigError with every problem that was found.
 */
export function loadConfig({ file, env = process.env }: ConfigSources): Settings {
  const path = configFile({ file, env });
  const source = path === undefined ? emptySource : new FileSource(path, readSource(path));
  const overrides = readEnvironment(env);
  const parsed = configSchema.safeParse(overlay(source.value, overrides.value));
  const place = (at: readonly PropertyKey[]) => overrides.placeOf(at) ?? source.placeOf(at);
  if (!parsed.success) throw new ConfigError(parsed.error.issues.flatMap((issue) => describeIssue(issue, place)));
  const proxies = readProxyVariables(env);
  const settings = completeSettings(parsed.data, proxies.proxy);
  const issues = crossCheck(settings, parsed.data).map(({ at, message }) => ({
    place: place(at),
    path: at.join('.'),
    message,
  }));
  issues.push(...proxies.issues.map((issue) => ({ ...issue, path: '' })));
  if (issues.length > 0) throw new ConfigError(issues);
  return settings;
}

type Place = (at: readonly PropertyKey[]) => string;

function describeIssue(issue: z.core.$ZodIssue, place: Place): ConfigIssue[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const at = [...issue.path, key];
      return { place: place(at), path: at.join('.'), message: 'unknown key' };
    });
  }
  if (issue.code === 'invalid_union') {
    const [nearest] = issue.errors.toSorted((a, b) => (b[0]?.path.length ?? 0) - (a[0]?.path.length ?? 0));
    return (nearest ?? []).flatMap((inner) => describeIssue({ ...inner, path: [...issue.path, ...inner.path] }, place));
  }
  return [
    { place: place(issue.path), path: issue.path.join('.'), message: issue.message.replace(/^Invalid input: /, '') },
  ];
}

/** Where a value stands in its source. */
interface Source {
  readonly value: unknown;
  placeOf(at: readonly PropertyKey[]): string;
}

const emptySource: Source = { value: {}, placeOf: () => 'default' };

class FileSource implements Source {
  readonly #path: string;
  readonly #lines = new LineCounter();
  readonly #document: Document;
  readonly value: unknown;

  constructor(path: string, text: string) {
    this.#path = path;
    const options = { lineCounter: this.#lines, prettyErrors: false, logLevel: 'error' } as const;
    this.#document = this.#guarded(() => parseDocument(text, options));
    const { errors, warnings } = this.#document;
    const issues = [
      ...[...errors, ...warnings].map(({ pos, message }) => ({ place: this.#place(pos[0]), path: '', message })),
      ...this.#lostAliases(),
    ];
    if (issues.length > 0) throw new ConfigError(issues);
    this.value = this.#guarded(() => this.#document.toJS({ maxAliasCount: 100 })) ?? {};
  }

  /** YAML can be more than can be read: nested too deep, or an alias of aliases of aliases. @throws ConfigError */
  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigError([{ place: this.#place(0), path: '', message }]);
    }
  }

  /** A pattern that begins with an asterisk, and is not quoted, is an alias to YAML. */
  #lostAliases(): ConfigIssue[] {
    const issues: ConfigIssue[] = [];
    visit(this.#document, {
      Alias: (_key, alias) => {
        if (alias.resolve(this.#document) !== undefined) return;
        const message = `there is no anchor &${alias.source}: quote a text that begins with *`;
        issues.push({ place: this.#place(alias.range?.[0] ?? 0), path: '', message });
      },
    });
    return issues;
  }

  placeOf(at: readonly PropertyKey[]): string {
    for (let length = at.length; length > 0; length--) {
      const start = this.#startOf(at.slice(0, length));
      if (start !== undefined) return this.#place(start);
    }
    return this.#place(0);
  }

  #startOf(at: readonly PropertyKey[]): number | undefined {
    const parent: unknown = at.length === 1 ? this.#document.contents : this.#document.getIn(at.slice(0, -1), true);
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(at.at(-1)));
      return isNode(pair?.key) ? pair.key.range?.[0] : undefined;
    }
    const node = this.#document.getIn(at, true);
    return isNode(node) ? node.range?.[0] : undefined;
  }

  #place(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.#path}:${Math.max(1, line)}:${Math.max(1, col)}`;
  }
}

function readSource(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new ConfigError([{ place: path, path: '', message: `the file cannot be read (${code})` }]);
  }
}

const variables: Readonly<Record<string, readonly string[]>> = {
  WEIR_LISTEN: ['listen'],
  WEIR_ADMIN: ['admin'],
  WEIR_DATA_DIR: ['dataDir'],
  WEIR_CACHE_MAX_SIZE: ['cache', 'maxSize'],
  WEIR_LOG_LEVEL: ['log', 'level'],
};

function readEnvironment(env: Environment): {
  value: unknown;
  placeOf(at: readonly PropertyKey[]): string | undefined;
} {
  const set = Object.entries(variables).filter(([name]) => env[name] !== undefined && env[name] !== '');
  const value = set.reduce<unknown>((all, [name, at]) => overlay(all, nest(at, env[name])), {});
  const placeOf = (at: readonly PropertyKey[]) => set.find(([, keys]) => keys.join('.') === at.join('.'))?.[0];
  return { value, placeOf };
}

function nest(at: readonly string[], value: unknown): unknown {
  return at.reduceRight((inner, key) => ({ [key]: inner }), value);
}

/** Lays `top` over `base`, object by object. What should be an object and is none stays, to be found wrong. */
function overlay(base: unknown, top: unknown): unknown {
  if (!isRecord(top)) return top;
  if (!isRecord(base)) return base;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(top)) merged[key] = key in base ? overlay(base[key], value) : value;
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What no single key can know. */
function crossCheck(settings: Settings, file: ConfigFile): { at: readonly string[]; message: string }[] {
  const issues: { at: readonly string[]; message: string }[] = [];
  const owners = new Map(settings.upstreams.map(({ name }) => [name, name]));
  for (const { name, aliases, endpoints, insecure } of settings.upstreams) {
    const plain = endpoints.findIndex((endpoint) => endpoint.startsWith('http:'));
    if (plain >= 0 && !insecure) {
      issues.push({
        at: ['upstreams', name, 'endpoints', String(plain)],
        message: 'plain http needs `insecure: true`',
      });
    }
    for (const label of aliases) {
      const owner = owners.get(label);
      if (owner !== undefined)
        issues.push({ at: ['upstreams', name, 'aliases'], message: `${label} is ${owner} already` });
      owners.set(label, name);
    }
  }
  if (!settings.upstreams.some(({ name }) => name === settings.defaultUpstream)) {
    const at = file.defaultUpstream === undefined ? ['upstreams'] : ['defaultUpstream'];
    issues.push({ at, message: `the default upstream ${settings.defaultUpstream} is not among the upstreams` });
  }
  return issues;
}
