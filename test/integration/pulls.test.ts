import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import type { ClientView } from '../../src/pulls/clients.ts';
import type { PullView } from '../../src/pulls/pull-view.ts';
import { fetchRaw } from '../support/client.ts';
import { CrioNode } from '../support/crio-node.ts';
import { always, stallAfter, status } from '../support/faults.ts';
import { makeIndex } from '../support/images.ts';
import { type Scene, type SceneOptions, setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

interface PullScene extends Scene {
  pulls(): Promise<readonly PullView[]>;
  clients(): Promise<readonly ClientView[]>;
}

const podman = { 'user-agent': 'containers/5.3.0 (github.com/containers/image)' };

async function setPulls(t: TestContext, options: SceneOptions = {}): Promise<PullScene> {
  const scene = await setScene(t, options);
  const read = async <T>(path: string): Promise<T> => {
    const { status, headers, body } = await fetchRaw(`${scene.mirror.adminUrl}${path}`);
    assert.deepEqual([status, headers['content-type']], [200, 'application/json']);
    return JSON.parse(body.toString());
  };
  return { ...scene, pulls: () => read('/api/pulls'), clients: () => read('/api/clients') };
}

const newNode = () => new CrioNode({ scale: 0.1, commitRate: Number.POSITIVE_INFINITY });
const outcomes = (pulls: readonly PullView[]) => pulls.map(({ outcome }) => outcome);
const states = (pulls: readonly PullView[]) => pulls.map(({ layers }) => layers.map(({ state }) => state));

test('the pull of a node is shown as the node sees it, and counted', async (t) => {
  const { upstream, mirror, image, manifestUrl, pulls, clients } = await setPulls(t, { layers: [200_000, 0, 300_000] });
  upstream.putManifest('team/app', makeIndex(image), 'v1');
  const node = newNode();
  assert.equal((await node.pull(manifestUrl)).error, undefined);
  await until(async () => (await pulls())[0]?.outcome !== undefined);
  const [pull] = await pulls();
  const { startedAt, longestGap, ...shown } = pull ?? {};
  assert.ok(Date.parse(startedAt ?? '') > Date.now() - 60_000);
  assert.ok(longestGap !== undefined && longestGap < 5000, `${longestGap} ms`);
  assert.deepEqual(shown, {
    id: 1,
    timeout: 10_000,
    client: '127.0.0.1',
    runtime: 'cri-o',
    version: '1.31.2',
    watchdog: 'fixed10',
    image: 'up.test/team/app:v1',
    digest: image.manifest.digest,
    layers: image.layers.map((layer) => ({
      digest: digestOf(layer),
      size: layer.length,
      sent: layer.length,
      state: 'delivered',
      drips: 0,
    })),
    drips: 0,
    holds: 0,
    saved: false,
    suspectedKill: false,
    outcome: 'complete',
  });
  const metrics = await mirror.metrics();
  assert.match(metrics, /^weir_pulls_total\{runtime="cri-o",outcome="complete"\} 1$/m);
  assert.match(metrics, /^weir_client_gap_seconds_count 1$/m);
  assert.equal((await node.pull(manifestUrl)).error, undefined);
  assert.equal((await pulls()).length, 1, 'the image is present: that was no pull');
  assert.deepEqual(await clients(), [
    {
      address: '127.0.0.1',
      runtime: 'cri-o',
      version: '1.31.2',
      watchdog: 'fixed10',
      pulls: 1,
      savedPulls: 0,
      suspectedKills: 0,
    },
  ]);
});

test('nodes that pull the same image behind one address at the same time are told apart', async (t) => {
  const { manifestUrl, pulls } = await setPulls(t, { layers: [200_000, 300_000, 100] });
  const nodes = await Promise.all(Array.from({ length: 4 }, () => newNode().pull(manifestUrl)));
  assert.deepEqual(
    nodes.map(({ error }) => error),
    [undefined, undefined, undefined, undefined],
  );
  await until(async () => outcomes(await pulls()).every((outcome) => outcome !== undefined));
  assert.deepEqual(outcomes(await pulls()), ['complete', 'complete', 'complete', 'complete']);
});

test('a client that leaves has aborted its pull, unless it comes back for the rest', async (t) => {
  const options = { upstream: { stallTimeout: '60s' } };
  const { upstream, manifestUrl, layer, layerUrl, pulls } = await setPulls(t, options);
  await fetchRaw(manifestUrl, { headers: podman });
  // Or all of it would be in the buffers of the connection when the client leaves.
  upstream.faults.push(stallAfter(2_000_000, 500));
  const leave = (received: number) => (received > 100_000 ? false : undefined);
  const { body } = await fetchRaw(layerUrl, { headers: podman, onBytes: leave });
  await until(async () => states(await pulls())[0]?.[0] === 'aborted');
  const rest = await fetchRaw(layerUrl, { headers: { ...podman, range: `bytes=${body.length}-` } });
  assert.ok(Buffer.concat([body, rest.body]).equals(layer));
  await until(async () => (await pulls())[0]?.outcome !== undefined);
  assert.deepEqual(outcomes(await pulls()), ['complete']);
});

test('a layer that could not be sent has failed', async (t) => {
  const { upstream, manifestUrl, layerUrl, pulls } = await setPulls(t);
  await fetchRaw(manifestUrl, { headers: podman });
  upstream.faults.push(status(404, { times: always }));
  assert.equal((await fetchRaw(layerUrl, { headers: podman })).status, 404);
  assert.deepEqual(states(await pulls()), [['failed']]);
});

test('asking how large a layer is, or whether it has changed, is no pull', async (t) => {
  const { manifestUrl, layer, layerUrl, pulls, clients } = await setPulls(t);
  await fetchRaw(manifestUrl, { headers: podman });
  assert.equal((await fetchRaw(layerUrl, { headers: podman, method: 'HEAD' })).status, 200);
  await fetchRaw(layerUrl, { headers: { ...podman, range: 'bytes=5-9' } });
  const conditional = { ...podman, 'if-none-match': `"${digestOf(layer)}"` };
  assert.equal((await fetchRaw(layerUrl, { headers: conditional })).status, 304);
  assert.deepEqual([await pulls(), await clients()], [[], []]);
});
