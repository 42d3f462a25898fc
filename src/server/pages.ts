import { readdir, readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import { reply } from './reply.ts';

/** A page that runs nothing but its own modules, asks nobody but this host, and is shown in no frame. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

const headers = {
  // Asked for again at each visit: after an upgrade, all parts are of the same version.
  'cache-control': 'no-cache',
  'content-security-policy': policy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** The dashboard: by path, how its files are answered, which are served as they are. */
export async function dashboardPages(): Promise<Readonly<Record<string, Answer>>> {
  const folder = join(import.meta.dirname, 'dashboard');
  const names = await readdir(folder);
  const pages = names.map(async (name) => {
    const body = await readFile(join(folder, name));
    const all = { ...headers, 'content-type': types[extname(name)] ?? 'application/octet-stream' };
    const answer: Answer = async (request, response) => reply(request, response, 200, all, body);
    return [name === 'index.html' ? '/' : `/dashboard/${name}`, answer] as const;
  });
  return Object.fromEntries(await Promise.all(pages));
}
