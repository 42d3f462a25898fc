import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { fetchRaw, sendBytes } from '../support/client.ts';
import { settingsOf, type TestMirror } from '../support/mirror.ts';
import { Mount } from '../support/mount.ts';
import { setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

type Pair = Pick<Certificate, 'certificate' | 'key'>;

/** A certificate and its key, mounted. */
class MountedPair {
  readonly #mount: Mount;
  readonly tls: { readonly cert: string; readonly key: string };

  constructor(first: Pair) {
    this.#mount = new Mount(filesOf(first));
    this.tls = { cert: this.#mount.path('tls.crt'), key: this.#mount.path('tls.key') };
  }

  put(pair: Pair): void {
    this.#mount.put(filesOf(pair));
  }
}

function filesOf({ certificate, key }: Pair): Record<string, string> {
  return { 'tls.crt': certificate, 'tls.key': key };
}

const localCertificate = () => makeCertificate('localhost');
const secure = (url: string) => url.replace('http:', 'https:');

/** Whether the mirror shows this certificate. */
async function shows({ url }: TestMirror, { certificate }: Certificate): Promise<boolean> {
  try {
    return (await fetchRaw(`${secure(url)}/v2/`, { ca: certificate })).status === 200;
  } catch {
    return false;
  }
}

test('with a certificate the registry API is HTTPS, and nothing but HTTP/1.1', async (t) => {
  const certificate = localCertificate();
  const { mirror, layerUrl, layer } = await setScene(t, { config: { tls: new MountedPair(certificate).tls } });
  const { body } = await fetchRaw(secure(layerUrl), { ca: certificate.certificate });
  assert.ok(body.equals(layer));
  const socket = connect({
    port: mirror.port,
    host: '127.0.0.1',
    ca: certificate.certificate,
    servername: 'localhost',
    ALPNProtocols: ['h2', 'http/1.1'],
  });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  assert.equal(socket.alpnProtocol, 'http/1.1');
  assert.equal((await fetch(`${mirror.adminUrl}/metrics`)).status, 200);
});

test('a rotated certificate is shown without a restart, and connections that are open go on', async (t) => {
  const certificates = Array.from({ length: 4 }, localCertificate);
  const [first = localCertificate(), ...others] = certificates;
  const mount = new MountedPair(first);
  const { mirror } = await setScene(t, { config: { tls: mount.tls } });
  assert.ok(await shows(mirror, first));
  const socket = connect({ port: mirror.port, host: '127.0.0.1', ca: first.certificate, servername: 'localhost' });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  for (const next of others) {
    mount.put(next);
    await until(() => shows(mirror, next));
  }
  assert.equal(await shows(mirror, first), false);
  socket.end('GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const [answer] = await once(socket, 'data');
  assert.match(answer.toString(), /^HTTP\/1\.1 200 /);
});

test('a new pair that is none is reported, and the old one stays, until there is one again', async (t) => {
  const [first = localCertificate(), second = first, third = first] = Array.from({ length: 3 }, localCertificate);
  const mount = new MountedPair(first);
  const { mirror } = await setScene(t, { config: { tls: mount.tls } });
  const errors = () => mirror.log.filter(({ level }) => level === 'error');
  mount.put({ certificate: second.certificate, key: third.key });
  await until(() => errors().length > 0);
  assert.match(errors()[0]?.message ?? '', /^the new certificate cannot be used/);
  assert.ok(await shows(mirror, first));
  rmSync(mount.tls.key);
  await until(() => errors().length > 1);
  assert.ok(await shows(mirror, first));
  writeFileSync(mount.tls.key, second.key);
  await until(() => shows(mirror, second));
  assert.doesNotMatch(JSON.stringify(mirror.log), /PRIVATE KEY/);
});

test('it does not start without a certificate and its key', async (t) => {
  const [first, second] = [localCertificate(), localCertificate()];
  const { tls } = new MountedPair({ certificate: first.certificate, key: second.key });
  await assert.rejects(setScene(t, { config: { tls } }), {
    name: 'ConfigError',
    message: /tls: no certificate with its key/,
  });
  const missing = { ...tls, key: join(tempDir(), 'missing') };
  await assert.rejects(setScene(t, { config: { tls: missing } }), {
    name: 'ConfigError',
    message: /missing: .*ENOENT/,
  });
  assert.equal(settingsOf({}).tls, undefined);
});

test('what is no TLS is closed, and those who never finish their handshake hold up nobody', async (t) => {
  const certificate = localCertificate();
  const { mirror, layerUrl, layer } = await setScene(t, { config: { tls: new MountedPair(certificate).tls } });
  await sendBytes(mirror.port, 'GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n');
  const silent = Array.from({ length: 100 }, () => connectPlain({ port: mirror.port, host: '127.0.0.1' }));
  await Promise.all(silent.map((socket) => once(socket, 'connect')));
  assert.ok((await fetchRaw(secure(layerUrl), { ca: certificate.certificate })).body.equals(layer));
  for (const socket of silent) socket.destroy();
});
