import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, ignoreRange, noLength, stallAfter } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';
import { until } from '../support/until.ts';

test('a client that falls back is told within 8 s that there is no first byte, whether the size is known or not', async (t) => {
  const clock = new FakeClock();
  const registry = await FakeRegistry.start();
  t.after(() => registry.close());
  const bytes = makeImage(100_000).layers[0] ?? Buffer.alloc(0);
  const digest = registry.putBlob('team/app', bytes);
  const mirror = await startMirror(t, {
    clock,
    config: upstreamConfig(registry.url, { giveUp: '1h' }),
  });
  // No manifest names it, and the answer that tells that the repository has it does not say how large it is.
  const url = `${mirror.url}/v2/team/app/blobs/${digest}`;
  const forAccess = () => registry.seen.at(-1)?.range === 'bytes=0-0';
  const silent = stallAfter(0, 3_600_000, { times: always, only: () => !forAccess() });
  registry.faults.push(ignoreRange(), noLength(), silent);
  const answered = fetchRaw(url, { headers: { 'user-agent': 'containerd/2.0.0' } });
  const patient = fetchRaw(url, { headers: { 'user-agent': 'cri-o/1.31.2' } });
  await until(() => registry.blobRequests.length >= 2);
  for (let passed = 0; passed < 9000; passed += 500) {
    clock.advance(500);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.equal((await answered).status, 504);
  registry.faults.splice(0);
  const passing = patient.then((answer) => answer.body.equals(bytes));
  const pass = () => new Promise<undefined>((resolve) => setTimeout(resolve, 5, undefined));
  let whole: boolean | undefined;
  for (let tries = 0; tries < 1000 && whole === undefined; tries++) {
    clock.advance(500);
    whole = await Promise.race([passing, pass()]);
  }
  assert.ok(whole);
});
