import type { Account, Login } from './login.ts';

/** What the file says of one repository: a login as it stands there, or the helper that knows it. */
export type DockerEntry =
  | { readonly login: Login }
  /** `docker-credential-<helper>`, and the key to ask it for. */
  | { readonly helper: string; readonly key: string };

/** A credentials file is broken. Its message names the place, never what stands there. */
export class DockerConfigError extends Error {
  override readonly name = 'DockerConfigError';
}

type Json = Readonly<Record<string, unknown>>;

/** What `docker login` calls Docker Hub. */
const hubKey = 'https://index.docker.io/v1/';
const hubHosts = new Set(['index.docker.io', 'registry-1.docker.io']);

/**
 * Finds a repository's entry in a `config.json` of Docker, an `auth.json` of containers, a `.dockerconfigjson` or a
 * `.dockercfg` (the inner map alone). A helper of the host counts before the store for all, that before `auths`; there,
 * the longest key that leads the repository counts.
 * @param host with its port, where it has one.
 * @returns `undefined` where the file does not speak of it.
 * @throws DockerConfigError
 */
export function findDockerEntry(text: string, host: string, repository: string): DockerEntry | undefined {
  const file = parseFile(text);
  const registry = canonicalHost(host.toLowerCase());
  const helper = byHost(childOf(file, 'credHelpers'), registry) ?? file['credsStore'];
  if (helper !== undefined && helper !== '') {
    if (typeof helper !== 'string' || !/^[\w.-]+$/.test(helper)) throw broken('the name of a credential helper');
    return { helper, key: registry === 'docker.io' ? hubKey : registry };
  }
  const entry = nearest(childOf(file, 'auths'), `${registry}/${repository}`);
  const login = entry === undefined ? undefined : readEntry(entry);
  return login && { login };
}

function parseFile(text: string): Json {
  const json = parseJson(text);
  if (!isJson(json)) throw broken('the file');
  const isWhole = ['auths', 'credHelpers', 'credsStore'].some((key) => key in json);
  return isWhole ? json : { auths: json };
}

/** The error of `JSON.parse` quotes what it could not read, so it goes no further. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function childOf(file: Json, key: string): Json {
  const child = file[key] ?? {};
  if (!isJson(child)) throw broken(`\`${key}\``);
  return child;
}

function byHost(map: Json, registry: string): unknown {
  return Object.entries(map).find(([key]) => canonicalKey(key) === registry)?.[1];
}

/** The value of the longest key that is `path` or leads to it; of keys that mean the same, the first. */
function nearest(auths: Json, path: string): unknown {
  const leading = Object.entries(auths)
    .map(([key, value]) => ({ key: canonicalKey(key), value }))
    .filter(({ key }) => `${path}/`.startsWith(`${key}/`));
  return leading.toSorted((a, b) => b.key.length - a.key.length)[0]?.value;
}

/** A key is a host, a namespace at a host, or the URL of an API, whose path says nothing. */
function canonicalKey(key: string): string {
  const bare = key.replace(/^https?:\/\//i, '');
  const [host = '', ...path] = (bare === key ? key.replace(/\/v[12]\/?$/, '') : bare.replace(/\/.*$/, '')).split('/');
  return [canonicalHost(host.toLowerCase()), ...path].join('/').replace(/\/+$/, '');
}

function canonicalHost(host: string): string {
  const name = host.replace(/:443$/, '');
  return hubHosts.has(name) ? 'docker.io' : name;
}

function readEntry(entry: unknown): Login | undefined {
  if (!isJson(entry)) throw broken('an entry of `auths`');
  const account = readAuth(textAt(entry, 'auth')) ?? accountOf(textAt(entry, 'username'), textAt(entry, 'password'));
  const identityToken = textAt(entry, 'identitytoken');
  const registryToken = textAt(entry, 'registrytoken');
  if (account === undefined && identityToken === undefined && registryToken === undefined) return undefined;
  return { account, identityToken, registryToken };
}

/** `base64(username:password)`. Beside an identity token, the password is empty. */
function readAuth(auth: string | undefined): Account | undefined {
  if (auth === undefined) return undefined;
  const [, username, password] = /^([^:]+):(.*)$/s.exec(Buffer.from(auth, 'base64').toString('utf8')) ?? [];
  if (username === undefined) throw broken('an `auth`');
  return accountOf(username, password?.replace(/\0+$/, ''));
}

function accountOf(username: string | undefined, password: string | undefined): Account | undefined {
  return username && password ? { username, password } : undefined;
}

/** Empty is as good as absent. */
function textAt(entry: Json, key: string): string | undefined {
  const value = entry[key] ?? '';
  if (typeof value !== 'string') throw broken(`a \`${key}\``);
  return value === '' ? undefined : value;
}

function broken(what: string): DockerConfigError {
  return new DockerConfigError(`${what} is not what a credentials file holds`);
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
