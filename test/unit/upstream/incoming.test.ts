import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import type { Dispatcher } from 'undici';
import { Incoming } from '../../../src/upstream/incoming.ts';

/** What undici would do, as far as it is told. */
class Controller implements Dispatcher.DispatchController {
  paused = false;
  reason: Error | null = null;

  get aborted(): boolean {
    return this.reason !== null;
  }

  abort(reason: Error): void {
    this.reason = reason;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }
}

function begin(signal = new AbortController().signal) {
  const controller = new Controller();
  const incoming = new Incoming(signal);
  incoming.onRequestStart(controller);
  return { controller, incoming };
}

const bytesOf = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString();

test('all that has come is taken at once, in order, and nothing is an end', async () => {
  const { controller, incoming } = begin();
  incoming.onResponseStart(controller, 103, { link: 'early' });
  incoming.onResponseStart(controller, 200, { etag: 'x' });
  assert.deepEqual(await incoming.head, { status: 200, headers: { etag: 'x' } });
  const arrival = incoming.arrival();
  for (const text of ['a', 'b', 'c']) incoming.onResponseData(controller, Buffer.from(text));
  await arrival;
  assert.equal(incoming.waiting, 3);
  assert.equal(bytesOf(incoming.take()), 'abc');
  incoming.onResponseData(controller, Buffer.from('d'));
  incoming.onResponseEnd();
  assert.ok(incoming.ended);
  await incoming.arrival();
  assert.equal(bytesOf(incoming.take()), 'd');
  await incoming.arrival();
  assert.deepEqual(incoming.take(), []);
});

test('its source waits while more than 1 MiB, or more than 128 chunks, are not taken', () => {
  const { controller, incoming } = begin();
  incoming.onResponseStart(controller, 200, {});
  for (let count = 0; count < 16; count++) incoming.onResponseData(controller, Buffer.alloc(64 * 1024));
  assert.equal(controller.paused, false);
  incoming.onResponseData(controller, Buffer.alloc(1));
  assert.equal(controller.paused, true);
  incoming.take();
  assert.equal(controller.paused, false);
  // Little is much where each byte comes in a buffer of its own.
  for (let count = 0; count < 128; count++) incoming.onResponseData(controller, Buffer.alloc(1));
  assert.equal(controller.paused, false);
  incoming.onResponseData(controller, Buffer.alloc(1));
  assert.equal(controller.paused, true);
});

test('what came before a failure is taken before it is thrown', async () => {
  const { controller, incoming } = begin();
  incoming.onResponseStart(controller, 200, {});
  incoming.onResponseData(controller, Buffer.from('half'));
  incoming.onResponseError(controller, new RangeError('cut'));
  await incoming.arrival();
  assert.equal(bytesOf(incoming.take()), 'half');
  await incoming.arrival();
  assert.throws(() => incoming.take(), RangeError);
});

test('an abort ends it at once: before it begins, before the head, and within the body', async () => {
  const gone = new RangeError('gone');
  const queued = new AbortController();
  const waiting = new Incoming(queued.signal);
  queued.abort(gone);
  await assert.rejects(waiting.head, gone);
  const late = new Controller();
  waiting.onRequestStart(late);
  assert.equal(late.reason, gone);

  await assert.rejects(begin(AbortSignal.abort(gone)).incoming.head, gone);

  const client = new AbortController();
  const { controller, incoming } = begin(client.signal);
  incoming.onResponseStart(controller, 200, {});
  const arrival = incoming.arrival();
  client.abort(gone);
  await arrival;
  assert.throws(() => incoming.take(), gone);
  assert.equal(controller.reason, gone);
});

test('what has ended is not aborted: its connection is used again, and nobody listens any more', () => {
  const { signal } = new AbortController();
  const { controller, incoming } = begin(signal);
  assert.equal(getEventListeners(signal, 'abort').length, 1);
  incoming.onResponseStart(controller, 200, {});
  incoming.onResponseEnd();
  incoming.abort(new RangeError('not wanted'));
  assert.equal(controller.reason, null);
  assert.deepEqual(incoming.take(), []);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});
