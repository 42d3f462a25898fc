import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { CrashLoop, kill, startProgram } from '../support/crash-loop.ts';
import { slow } from '../support/faults.ts';
import { makeImage } from '../support/images.ts';
import { upstreamConfig } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';
import { tempDir } from '../support/temp.ts';

test('a process that is killed at any point of a pull leaves nothing wrong, and nothing that nobody knows of', async (t) => {
  const reports = await Promise.all([1, 2, 3, 4].map((seed) => CrashLoop.run(5, seed)));
  for (const report of reports) {
    t.diagnostic(JSON.stringify(report));
    assert.deepEqual([report.corrupt, report.orphans], [0, 0]);
  }
  const cut = reports.reduce((sum, report) => sum + report.cut, 0);
  assert.ok(cut >= 5, `only ${cut} pulls were cut`);
});

test('right after a kill, a resume is answered from what was recorded, also when the upstream is gone', async (t) => {
  const upstream = await FakeRegistry.start();
  t.after(() => upstream.close());
  const image = makeImage(30_000_000);
  const [layer = Buffer.alloc(0)] = image.layers;
  upstream.push('team/app', 'v1', image);
  const dataDir = tempDir();
  const first = await startProgram(dataDir, upstreamConfig(upstream.url, { connections: 1 }));
  await fetchRaw(`${first.url}/v2/team/app/manifests/v1`);
  upstream.faults.push(slow(4_000_000));
  let enoughAt = Number.POSITIVE_INFINITY;
  const path = `/v2/team/app/blobs/${digestOf(layer)}`;
  await fetchRaw(first.url + path, {
    onBytes: (received) => {
      if (received > 3_100_000) enoughAt = Math.min(enoughAt, performance.now());
      // What has arrived is recorded every 2 s.
      return performance.now() - enoughAt < 3500 ? undefined : false;
    },
  });
  await kill(first);
  await upstream.close();
  const next = await startProgram(dataDir, upstreamConfig(upstream.url, { giveUp: '1s' }));
  t.after(() => kill(next));
  const resumed = await fetchRaw(next.url + path, {
    headers: { range: 'bytes=1000000-', 'user-agent': 'cri-o/1.31.2' },
  });
  assert.equal(resumed.status, 206);
  assert.ok(resumed.body.length >= 2_000_000, `${resumed.body.length} bytes`);
  assert.ok(resumed.body.equals(layer.subarray(1_000_000, 1_000_000 + resumed.body.length)));
  assert.equal(resumed.ending, 'FIN');
});
