import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { AdminGate } from '../../../src/server/admin-gate.ts';
import { collectLog, settingsOf } from '../../support/mirror.ts';
import { tempDir } from '../../support/temp.ts';

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly peer?: string;
}

/** What a gate with these keys does with a request: 200 lets it through. */
async function ask(config: object, { method = 'GET', headers = {}, peer = '127.0.0.1' }: Asked): Promise<number> {
  const request = new IncomingMessage(Object.defineProperty(new Socket(), 'remoteAddress', { value: peer }));
  request.method = method;
  Object.assign(request.headers, { host: '127.0.0.1:5001' }, headers);
  const response = new ServerResponse(request);
  await new AdminGate(settingsOf(config), collectLog([])).admits(request, response);
  return response.statusCode;
}

const delivers = ['POST', 'PUT', 'DELETE', 'PATCH'];

test('the admin address is asked by an address, as localhost, or by a configured name', async () => {
  const config = { adminHosts: ['weir.example.com'] };
  for (const host of ['10.1.2.3:5001', '[::1]:5001', 'LOCALHOST', 'weir.example.com:5001', 'Weir.Example.Com'])
    assert.equal(await ask(config, { headers: { host } }), 200, host);
  for (const host of [
    'evil.example:5001',
    'weir.example.com.evil.example',
    '',
    '127.0.0.1.evil.example',
    '127.0.0.1@x',
  ])
    assert.equal(await ask(config, { headers: { host } }), 403, host);
});

test('without a token, changes come from loopback, and through no proxy', async () => {
  for (const method of delivers) {
    for (const peer of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1'])
      assert.equal(await ask({}, { method, peer }), 200, peer);
    for (const peer of ['10.0.0.1', '2001:db8::1', '::ffff:10.0.0.1', ''])
      assert.equal(await ask({}, { method, peer }), 403, peer);
    assert.equal(await ask({}, { method, headers: { 'x-forwarded-for': '10.0.0.1' } }), 403);
  }
  assert.equal(await ask({}, { peer: '10.0.0.1' }), 200);
});

test('with a token, changes need it from everywhere, as the file says it now; reading does not', async () => {
  const file = join(tempDir(), 'token');
  writeFileSync(file, 'one\n');
  const config = { adminToken: { file } };
  const post = (authorization?: string) =>
    ask(config, { method: 'POST', headers: authorization === undefined ? {} : { authorization }, peer: '10.0.0.1' });
  assert.equal(await post('Bearer one'), 200);
  for (const wrong of [undefined, 'Bearer two', 'Bearer ', 'Basic one', 'one']) assert.equal(await post(wrong), 401);
  assert.equal(await ask(config, { method: 'DELETE' }), 401);
  assert.equal(await ask(config, { method: 'HEAD' }), 200);
  writeFileSync(file, 'two');
  assert.deepEqual([await post('Bearer one'), await post('bearer two')], [401, 200]);
  writeFileSync(file, '\n');
  assert.equal(await post('Bearer '), 401);
  assert.equal(await ask({ adminToken: { file: `${file}.gone` } }, { method: 'POST' }), 503);
});

test('a page that makes changes is one of the host that it asks', async () => {
  const post = (headers: Record<string, string>) =>
    ask({ adminHosts: ['weir.example.com'] }, { method: 'POST', headers });
  assert.equal(await post({ origin: 'http://127.0.0.1:5001' }), 200);
  assert.equal(await post({ host: 'weir.example.com', origin: 'https://weir.example.com' }), 200);
  for (const origin of ['http://evil.example', 'null', 'http://127.0.0.1:5002', 'http://localhost:5001', ''])
    assert.equal(await post({ origin }), 403, origin);
});
