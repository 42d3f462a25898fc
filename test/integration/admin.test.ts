import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { resetAfter, stallAfter } from '../support/faults.ts';
import { startMirror } from '../support/mirror.ts';
import { setScene } from '../support/scene.ts';
import { until } from '../support/until.ts';

test('nothing at the admin address is answered under the name of another site', async (t) => {
  const { adminUrl } = await startMirror(t);
  for (const path of ['/metrics', '/api/pulls', '/nowhere', '/%zz']) {
    const { status, body } = await fetchRaw(adminUrl + path, { headers: { host: 'evil.example' } });
    assert.equal(status, 403, path);
    const [{ code, message }] = JSON.parse(body.toString()).errors;
    assert.deepEqual([code, /"evil\.example"/.test(message)], ['DENIED', true]);
  }
  assert.equal((await fetchRaw(`${adminUrl}/metrics`)).status, 200);
});

test('a change at the admin address by a page of another site is refused', async (t) => {
  const { adminUrl } = await startMirror(t);
  const change = { method: 'POST', body: '{}' };
  const headers = { origin: 'http://evil.example' };
  assert.equal((await fetchRaw(`${adminUrl}/api/pulls`, { ...change, headers })).status, 403);
  assert.equal((await fetchRaw(`${adminUrl}/api/pulls`, change)).status, 404);
});

test('who listens to the events is shown a pull as it runs, until the mirror shuts down', async (t) => {
  const { mirror, manifestUrl, layerUrl, upstream } = await setScene(t, { upstream: { stallTimeout: '60s' } });
  let text = '';
  const append = (more: string) => {
    text += more;
  };
  const url = `${mirror.adminUrl}/api/events`;
  const listening = get(url, (response) => response.setEncoding('utf8').on('data', append));
  const ended = once(listening, 'close');
  await until(() => text.includes('event: pulls\ndata: {"all":[]}') && text.includes('event: status\n'));
  await fetchRaw(manifestUrl);
  upstream.faults.push(stallAfter(2_000_000, 1500));
  const pull = fetchRaw(layerUrl);
  await until(() => /event: pulls\ndata: \{"set":\[\["1",\{"id":1,.*"state":"sending"/.test(text));
  await until(() => /event: flights\ndata: \{"set":\[\["up\.test sha256:.*"held":\[\[0,/.test(text));
  await pull;
  await until(() => /event: flights\ndata: \{"set":\[\],"gone":\["up\.test sha256:/.test(text));
  await mirror.mirror.drain();
  await ended;
  assert.equal((await fetchRaw(url)).status, 503);
});

test('the status says what came from each upstream, what had to be asked for again, and what was served', async (t) => {
  const { mirror, manifestUrl, layerUrl, layer, upstream } = await setScene(t, { upstream: { connections: 1 } });
  await fetchRaw(manifestUrl);
  upstream.faults.push(resetAfter(1_500_000));
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  await fetchRaw(layerUrl);
  const { servedBytes, upstreams } = JSON.parse((await fetchRaw(`${mirror.adminUrl}/api/status`)).body.toString());
  const { bytes, repairs } = upstreams.find(({ name }: { name: string }) => name === 'up.test');
  assert.equal(servedBytes, 2 * layer.length);
  assert.deepEqual([bytes >= layer.length, bytes < 2 * layer.length, repairs], [true, true, 1]);
});
