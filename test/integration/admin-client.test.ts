import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server as TcpServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { AdminClient } from '../../src/cli/admin-client.ts';
import { makeCertificate } from '../support/certificate.ts';
import { settingsOf } from '../support/mirror.ts';
import { attempt } from '../support/program.ts';
import { tempDir } from '../support/temp.ts';

const entry = join(import.meta.dirname, '../../src/weir.js');

/** Where a server listens. It is closed when the test ends. */
async function listen(t: TestContext, server: TcpServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  t.after(() => void server.close());
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

test('a mirror is reached by TLS, and gets the token with changes only: who may not read it can look', async (t) => {
  const { key, certificate, certificateFile } = makeCertificate('localhost');
  const seen: (string | undefined)[] = [];
  const answer: RequestListener = ({ method, headers }, response) => {
    seen.push(`${method} ${headers.authorization}`);
    response.end(method === 'GET' ? '[]' : '{}');
  };
  const port = await listen(t, createTlsServer({ key, cert: certificate }, answer));
  const dir = tempDir();
  const token = join(dir, 'token');
  const file = join(dir, 'weir.yaml');
  writeFileSync(file, JSON.stringify({ adminToken: { file: token } }));
  const weir = (...words: readonly string[]) => {
    const command = [process.execPath, entry, ...words, '--admin', `https://localhost:${port}`, '--config', file];
    return attempt(command, { env: { NODE_EXTRA_CA_CERTS: certificateFile } });
  };
  const [looked, refused] = await Promise.all([weir('ls'), weir('rm', 'quay.io/team/app:v1')]);
  assert.deepEqual([looked.code, refused.code, /ENOENT/.test(refused.stderr)], [0, 1, true], looked.stderr);
  writeFileSync(token, 'secret\n');
  assert.equal((await weir('rm', 'quay.io/team/app:v1')).code, 0);
  assert.deepEqual(seen, ['GET undefined', 'DELETE Bearer secret']);
});

test('a mirror that falls silent is given up', async (t) => {
  const sockets = createServer(({ url }, response) => {
    if (url === '/api/verify') response.write('{"line":1}\n');
  });
  t.after(() => sockets.closeAllConnections());
  const port = await listen(t, sockets);
  const settings = settingsOf({ admin: `127.0.0.1:${port}` });
  const client = new AdminClient(settings, undefined, { call: 300, line: 300 });
  await assert.rejects(client.call('GET', 'images'), { message: 'the mirror does not answer' });
  const lines: unknown[] = [];
  const reading = async () => {
    for await (const line of client.lines('POST', 'verify', {})) lines.push(line);
  };
  await assert.rejects(reading(), { message: 'the mirror does not answer' });
  assert.deepEqual(lines, [{ line: 1 }]);
});
