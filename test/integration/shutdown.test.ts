import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { always, slow, stallAfter } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { attempt, Program } from '../support/program.ts';
import { FakeRegistry } from '../support/registry.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const entry = join(import.meta.dirname, '../../src/weir.js');

/** Runs `weir serve` with these keys. */
async function serve(config: object): Promise<{ program: Program; url: string }> {
  const file = join(tempDir(), 'weir.yaml');
  writeFileSync(file, JSON.stringify({ listen: '127.0.0.1:0', admin: '127.0.0.1:0', ...config }));
  const program = await Program.start([process.execPath, entry, 'serve', '--config', file]);
  let port: string | undefined;
  await program.ready(() => {
    port = /registry API +127\.0\.0\.1:(\d+)/.exec(program.stderr)?.[1];
    return port !== undefined;
  });
  return { program, url: `http://127.0.0.1:${port}` };
}

test('after SIGTERM no pull begins, blobs of pulls end or are cut, and the next process goes on where they were', async (t) => {
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  const image = makeImage(3_000_000, 8_000_000);
  upstream.push('team/app', 'v1', image);
  const [ends = Buffer.alloc(0), stalls = Buffer.alloc(0)] = image.layers;
  const blobPath = (bytes: Buffer) => `/v2/team/app/blobs/${digestOf(bytes)}`;
  const config = {
    ...upstreamConfig(upstream.url, { stallTimeout: '60s' }),
    dataDir: tempDir(),
    drainTimeout: '4s',
  };
  const first = await serve(config);
  t.after(() => first.program.stop());
  const manifestUrl = `${first.url}/v2/team/app/manifests/v1`;
  await fetchRaw(manifestUrl);
  upstream.faults.push(stallAfter(5_000_000, 60_000, { times: always, only: (path) => path === blobPath(stalls) }));
  upstream.faults.push(slow(1_500_000, { only: (path) => path === blobPath(ends) }));
  let arrived = 0;
  const cut = fetchRaw(first.url + blobPath(stalls), {
    onBytes: (received) => {
      arrived = received;
      return undefined;
    },
  });
  await until(() => arrived > 4_000_000);
  let over: ReturnType<Program['outcome']> | undefined;
  const whole = fetchRaw(first.url + blobPath(ends), {
    onBytes: () => {
      if (over === undefined) process.kill(first.program.pid, 'SIGTERM');
      over ??= first.program.outcome();
      return undefined;
    },
  });
  await until(async () => (await fetchRaw(`${first.url}/readyz`)).status === 503);
  for (const url of [`${first.url}/v2/`, manifestUrl]) assert.equal((await fetchRaw(url)).status, 503, url);
  assert.ok((await whole).body.equals(ends));
  const { complete, ending } = await cut;
  assert.deepEqual([complete, ending], [false, 'FIN']);
  assert.equal((await over)?.code, 0);

  upstream.faults.length = 0;
  const before = upstream.blobBytes;
  const second = await serve(config);
  t.after(() => second.program.stop());
  for (const bytes of [ends, stalls]) assert.ok((await fetchRaw(second.url + blobPath(bytes))).body.equals(bytes));
  const fetched = upstream.blobBytes - before;
  assert.ok(fetched <= 8_000_000 - arrived + 1024 * 1024, `${fetched} bytes, ${arrived} had arrived`);
});

test('a second process on the same directory ends with one line that says what to do', async (t) => {
  const { dataDir } = await startMirror(t);
  const env = { WEIR_LISTEN: '127.0.0.1:0', WEIR_ADMIN: '127.0.0.1:0', WEIR_DATA_DIR: dataDir };
  const { code, stdout, stderr } = await attempt([process.execPath, entry, 'serve'], { env });
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^weir: another process uses .*: end it, or choose another data directory\n$/);
});
