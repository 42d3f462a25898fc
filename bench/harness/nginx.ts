import { mkdir, open, readdir, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import type { Content } from './content.ts';
import type { Lab, Server } from './lab.ts';

/** Starts nginx on an empty directory, and what puts a layer into it: files are sent by sendfile. */
export async function startNginxStatic(
  lab: Lab,
): Promise<{ readonly server: Server; readonly put: (path: string, content: Content) => Promise<void> }> {
  const directory = await lab.directory();
  const files = join(directory, 'files');
  await mkdir(files);
  const server = await start(lab, 'nginx static', directory, `location / { root ${files}; }`, '');
  return {
    server: { ...server, evict: () => Promise.resolve() },
    put: (path, content) => writeTo(files + path, content),
  };
}

/** Starts nginx as a cache of the registry at this port. One request fetches, the others wait for it. */
export async function startNginxCache(lab: Lab, upstreamPort: number): Promise<Server> {
  const directory = await lab.directory();
  const cache = join(directory, 'cache');
  const server = await start(
    lab,
    'nginx proxy_cache',
    directory,
    `location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache blobs;
      proxy_cache_key $uri;
      proxy_cache_valid 200 1h;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 5m;
      proxy_cache_lock_age 5m;
      proxy_buffer_size 64k;
      proxy_buffers 16 256k;
      proxy_busy_buffers_size 1m;
    }`,
    `proxy_cache_path ${cache} levels=1:2 keys_zone=blobs:10m max_size=100g inactive=1d use_temp_path=off;
    upstream origin { server 127.0.0.1:${upstreamPort}; keepalive 16; }`,
  );
  return { ...server, evict: () => emptyDirectory(cache) };
}

async function start(
  lab: Lab,
  name: string,
  directory: string,
  location: string,
  outside: string,
): Promise<Omit<Server, 'evict'>> {
  const file = join(directory, 'nginx.conf');
  const launched = await lab.launch({
    directory,
    readyPath: '/v2/',
    command: async (port) => {
      await writeFile(file, configuration(directory, port, location, outside));
      return ['nginx', '-p', directory, '-c', file, '-e', join(directory, 'errors')];
    },
  });
  return { name, ...launched };
}

function configuration(directory: string, port: number, location: string, outside: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
daemon off;
user ${userInfo().username};
worker_processes auto;
pid ${join(directory, 'nginx.pid')};
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type application/octet-stream;
  ${temporary.map((kind) => `${kind}_temp_path ${join(directory, kind)};`).join('\n  ')}
  ${outside}
  server {
    listen 127.0.0.1:${port};
    ${location}
  }
}
`;
}

async function writeTo(path: string, content: Content): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'wx');
  try {
    for (const piece of content.pieces()) await file.write(piece);
  } finally {
    await file.close();
  }
}

async function emptyDirectory(path: string): Promise<void> {
  for (const name of await readdir(path)) await rm(join(path, name), { recursive: true, force: true });
}
