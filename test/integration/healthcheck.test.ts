import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeCertificate } from '../support/certificate.ts';
import { startMirror } from '../support/mirror.ts';
import { attempt, type Outcome } from '../support/program.ts';
import { tempDir } from '../support/temp.ts';

const entry = join(import.meta.dirname, '../../src/weir.js');

/** Runs `weir healthcheck` with this configuration. */
function check(config: object): Promise<Outcome> {
  const file = join(tempDir(), 'weir.yaml');
  writeFileSync(file, JSON.stringify(config));
  return attempt([process.execPath, entry, 'healthcheck', '--config', file]);
}

test('healthcheck succeeds while the mirror can serve, and says why when it cannot', async (t) => {
  const { mirror, port, close } = await startMirror(t);
  for (const host of ['127.0.0.1', '0.0.0.0']) assert.equal((await check({ listen: `${host}:${port}` })).code, 0);
  await mirror.drain();
  const draining = await check({ listen: `127.0.0.1:${port}` });
  assert.deepEqual([draining.code, draining.stderr], [1, 'weir: the mirror is not ready: 503 shutting down\n']);
  await close();
  const closed = await check({ listen: `127.0.0.1:${port}` });
  assert.deepEqual([closed.code, closed.stderr], [1, `weir: connect ECONNREFUSED 127.0.0.1:${port}\n`]);
});

test('healthcheck asks by TLS where the mirror listens by TLS, whatever name the certificate has', async (t) => {
  const { key, certificateFile } = makeCertificate('mirror.example.com');
  const keyFile = join(tempDir(), 'key.pem');
  writeFileSync(keyFile, key);
  const tls = { cert: certificateFile, key: keyFile };
  const { port } = await startMirror(t, { config: { listen: '[::1]:0', tls } });
  assert.equal((await check({ listen: `[::]:${port}`, tls })).code, 0);
});

test('healthcheck gives up on a mirror that does not answer', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1');
  t.after(() => silent.close());
  await once(silent, 'listening');
  const address = silent.address();
  assert.ok(address !== null && typeof address === 'object');
  const { code, stderr } = await check({ listen: `127.0.0.1:${address.port}` });
  assert.deepEqual([code, stderr], [1, 'weir: the mirror does not answer\n']);
});
