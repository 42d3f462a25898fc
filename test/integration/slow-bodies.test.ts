import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { openFiles } from '../support/open-files.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

/** Sends a request, then a byte of its body now and then until the other side closes. @returns all that came back. */
async function sendSlowly(t: TestContext, port: number, request: string, piece: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => {});
  socket.write(request);
  const drip = setInterval(() => socket.writable && socket.write(piece), 20);
  await once(socket, 'close').finally(() => clearInterval(drip));
  return Buffer.concat(chunks).toString('latin1');
}

const bodies: Readonly<Record<string, readonly [header: string, piece: string]>> = {
  'of an announced length': ['Content-Length: 1000000000', 'a'],
  'in chunks': ['Transfer-Encoding: chunked', '1\r\na\r\n'],
};

for (const [shape, [header, piece]] of Object.entries(bodies)) {
  test(`a body ${shape} that comes byte by byte is not waited for: 405, and the connection is closed`, {
    timeout: 60_000,
  }, async (t) => {
    const { mirror, upstream, layer, layerUrl } = await setScene(t);
    assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
    const asked = upstream.seen.length;
    const before = openFiles();
    const began = performance.now();
    const request = `PUT /v2/team/app/manifests/v1 HTTP/1.1\r\nHost: x\r\n${header}\r\n\r\n`;
    const answers = Array.from({ length: 20 }, () => sendSlowly(t, mirror.port, request, piece));
    for (const text of await Promise.all(answers)) {
      assert.match(text, /^HTTP\/1\.1 405 /);
      assert.match(text, /\r\nallow: GET, HEAD\r\n/i);
      assert.match(text, /\r\nconnection: close\r\n/i);
      assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1);
    }
    assert.ok(performance.now() - began < 10_000, `${performance.now() - began} ms`);
    await until(() => openFiles() <= before);
    assert.equal(upstream.seen.length, asked);
    assert.deepEqual(
      mirror.log.filter(({ level }) => level === 'warn' || level === 'error'),
      [],
    );
  });
}
