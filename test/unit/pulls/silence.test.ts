import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Silence } from '../../../src/pulls/silence.ts';
import { FakeClock } from '../../support/clock.ts';

test('silence is the time without a byte while any stream could take some', () => {
  const clock = new FakeClock();
  const silence = new Silence(clock);
  clock.advance(500);
  assert.equal(silence.longest, 0, 'nobody listens');
  silence.enter();
  clock.advance(30);
  assert.equal(silence.longest, 30, 'before the first byte, and still going on');
  silence.broken();
  silence.leave();
  clock.advance(500);
  assert.equal(silence.longest, 30, 'the only stream is blocked by its socket');
  silence.enter();
  clock.advance(20);
  silence.enter();
  clock.advance(20);
  assert.equal(silence.longest, 40, 'another stream is no byte');
  silence.leave();
  silence.leave();
  clock.advance(500);
  assert.equal(silence.longest, 40);
  assert.equal(silence.brokenAt, clock.now() - 1070 + 30);
});
