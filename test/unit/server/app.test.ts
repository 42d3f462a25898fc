import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { App } from '../../../src/server/app.ts';

/** In real life it is five minutes. */
const within = 400;
const bytes = Buffer.alloc(32 * 1024 * 1024);

/** A client of an app that lets its clients take their time, but not for ever. */
async function ask(t: TestContext, answer: (response: ServerResponse) => void): Promise<Socket> {
  const routes = {
    fixed: {},
    otherwise: (_request: unknown, response: ServerResponse) => Promise.resolve(answer(response)),
  };
  const app = await App.create(routes, undefined, within);
  const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
  const client = connect(port, '127.0.0.1');
  t.after(async () => {
    client.destroy();
    await app.close();
  });
  client.on('error', () => {});
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(client, 'readable');
  return client;
}

test('a client that takes nothing of what it is sent is let go', async (t) => {
  const gone = Promise.withResolvers<void>();
  await ask(t, (response) => {
    response.once('close', gone.resolve);
    response.end(bytes);
  });
  await gone.promise;
});

test('a client that takes a little, and one that is sent nothing, are not', async (t) => {
  const slow = Promise.withResolvers<ServerResponse>();
  const client = await ask(t, (response) => {
    slow.resolve(response);
    response.end(bytes);
  });
  const waiting = Promise.withResolvers<ServerResponse>();
  const waiter = await ask(t, (response) => {
    waiting.resolve(response);
    response.flushHeaders();
  });
  waiter.resume();
  // Enough at a time for the kernel to take more, and far from all.
  for (let turn = 0; turn < 8; turn++) {
    client.read(2 * 1024 * 1024);
    await setTimeout(within / 4);
  }
  assert.deepEqual([(await slow.promise).destroyed, (await waiting.promise).destroyed], [false, false]);
});
