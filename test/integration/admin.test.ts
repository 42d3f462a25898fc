import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { startMirror } from '../support/mirror.ts';

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
