import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { abortable } from '../../../src/async/abortable.ts';
import { sleep } from '../../../src/async/clock.ts';
import { FakeClock } from '../../support/clock.ts';

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

test('the promise decides while the signal is quiet', async () => {
  const { signal } = new AbortController();
  assert.equal(await abortable(Promise.resolve(1), signal), 1);
  await assert.rejects(abortable(Promise.reject(new RangeError('no')), signal), RangeError);
  assert.equal(listeners(signal), 0);
});

test('a waiter leaves with the signal’s reason, and the work goes on for the others', async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const leaving = new AbortController();
  const left = abortable(promise, leaving.signal);
  const stays = abortable(promise, new AbortController().signal);
  leaving.abort(new RangeError('gone'));
  await assert.rejects(left, RangeError);
  resolve(1);
  assert.equal(await stays, 1);
});

test('a signal that has aborted before decides at once, and a later rejection is nobody’s surprise', async () => {
  const { promise, reject } = Promise.withResolvers<number>();
  await assert.rejects(abortable(promise, AbortSignal.abort(new RangeError('gone'))), RangeError);
  reject(new Error('unheard'));
  await new Promise((resolve) => setImmediate(resolve));
});

test('sleep ends when the time has come', async () => {
  const clock = new FakeClock();
  const { signal } = new AbortController();
  let awake = false;
  const slept = sleep(clock, 100, signal).then(() => {
    awake = true;
  });
  clock.advance(99);
  await Promise.resolve();
  assert.equal(awake, false);
  clock.advance(1);
  await slept;
  assert.equal(listeners(signal), 0);
});

test('sleep ends early with the signal, and leaves no timer', async () => {
  const clock = new FakeClock();
  const waking = new AbortController();
  const slept = sleep(clock, 100, waking.signal);
  waking.abort(new RangeError('up'));
  await assert.rejects(slept, RangeError);
  await assert.rejects(sleep(clock, 100, waking.signal), RangeError);
  assert.equal(clock.pending, 0);
});
