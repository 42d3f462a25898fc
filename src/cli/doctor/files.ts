import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../../async/clock.ts';
import type { Settings, UpstreamSettings } from '../../config/settings.ts';
import { parseHtpasswd } from '../../server/htpasswd.ts';
import { findDockerEntry } from '../../upstream/docker-config.ts';
import { bad, type Finding, good, reasonOf } from './finding.ts';

/** A file that the configuration names, by its key, and what has to be in it. */
interface NamedFile {
  readonly key: string;
  readonly path: string;
  /** @throws Error that says what is wrong; it quotes nothing. */
  readonly read: (text: string) => void;
}

/** Checks that every file that the configuration names can be read, and holds what it should. */
export function examineFiles(settings: Settings, clock: Clock): Finding[] {
  return [...tlsFiles(settings, clock), ...namedFiles(settings).map(examineFile)];
}

function examineFile({ key, path, read }: NamedFile): Finding {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const remedy = `make it readable for the user that runs weir, or change ${key}`;
    return bad(key, `${path} cannot be read (${reasonOf(error)})`, remedy);
  }
  try {
    read(text);
    return good(key, path);
  } catch (error) {
    return bad(
      key,
      `${path} cannot be used: ${error instanceof Error ? error.message : 'it is broken'}`,
      'write it anew',
    );
  }
}

function namedFiles({ clients, adminToken, upstreams }: Settings): NamedFile[] {
  const { htpasswd } = clients;
  return [
    ...(htpasswd === undefined
      ? []
      : [{ key: 'clients.htpasswd', path: htpasswd, read: (text: string) => void parseHtpasswd(text, htpasswd) }]),
    ...(adminToken === undefined ? [] : [{ key: 'adminToken', path: adminToken.file, read: demandText }]),
    ...distinct(upstreams.flatMap(filesOf)),
  ];
}

function filesOf({ name, ca, credentials }: UpstreamSettings): NamedFile[] {
  const files: NamedFile[] = [];
  const key = `upstreams.${name}`;
  if (ca !== undefined) files.push({ key: `${key}.ca`, path: ca, read: (text) => void new X509Certificate(text) });
  if (credentials !== undefined && 'passwordFile' in credentials) {
    files.push({ key: `${key}.credentials`, path: credentials.passwordFile, read: demandText });
  } else if (credentials !== undefined) {
    const read = (text: string) => void findDockerEntry(text, name, '');
    files.push({ key: 'credentials.dockerConfig', path: credentials.dockerConfig, read });
  }
  return files;
}

/** Upstreams share the file that is configured for all. */
function distinct(files: readonly NamedFile[]): NamedFile[] {
  return [...new Map(files.map((file) => [`${file.key} ${file.path}`, file])).values()];
}

function demandText(text: string): void {
  if (text.trim() === '') throw new Error('it is empty');
}

function tlsFiles({ tls }: Settings, clock: Clock): Finding[] {
  if (tls === undefined) return [];
  try {
    const cert = readFileSync(tls.cert);
    createSecureContext({ cert, key: readFileSync(tls.key) });
    const { validTo, validToDate } = new X509Certificate(cert);
    return validToDate.getTime() > clock.wall()
      ? [good('tls', `${tls.cert}, valid to ${validTo}`)]
      : [
          bad(
            'tls',
            `${tls.cert} has expired: ${validTo}`,
            'put a new certificate there; a running mirror takes it up',
          ),
        ];
  } catch (error) {
    const remedy = 'tls.cert and tls.key must be readable PEM files that belong together';
    return [bad('tls', `the certificate cannot be used (${reasonOf(error)})`, remedy)];
  }
}
