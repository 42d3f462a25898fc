import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Deadline } from '../../../src/async/deadline.ts';
import { FakeClock } from '../../support/clock.ts';

class LateError extends Error {}

function setUp(outer?: AbortSignal) {
  const clock = new FakeClock();
  const deadline = new Deadline(clock, () => new LateError('late'), outer);
  return { clock, deadline, signal: deadline.signal };
}

test('it fires exactly when the last time that was set has passed, whatever was set or paused before', () => {
  const never = Number.POSITIVE_INFINITY;
  // What is done, and when it is due then.
  const turns: Readonly<Record<string, (scene: ReturnType<typeof setUp>, ms: number, due: number) => number>> = {
    set: ({ clock, deadline }, ms) => {
      deadline.set(ms);
      return clock.now() + ms;
    },
    advance: ({ clock }, ms, due) => {
      clock.advance(ms);
      return due;
    },
    pause: ({ deadline }) => {
      deadline.pause();
      return never;
    },
    clear: ({ deadline }) => {
      deadline.clear();
      return never;
    },
  };
  const turn = fc.tuple(fc.constantFrom(...Object.values(turns)), fc.integer({ min: 1, max: 20 }));
  fc.assert(
    fc.property(fc.array(turn), (all) => {
      const scene = setUp();
      let due = never;
      for (const [take, ms] of all) {
        due = take(scene, ms, due);
        assert.equal(scene.signal.aborted, scene.clock.now() >= due);
        if (scene.signal.aborted) return;
      }
    }),
    { numRuns: 500 },
  );
});

test('the reason is made when it fires', () => {
  const { clock, deadline, signal } = setUp();
  deadline.set(10);
  clock.advance(10);
  assert.ok(signal.reason instanceof LateError);
});

test('it aborts with its surroundings, for their reason', () => {
  const outer = new AbortController();
  const { deadline, signal } = setUp(outer.signal);
  deadline.set(10);
  outer.abort(new Error('gone'));
  assert.equal(signal.reason.message, 'gone');
});

test('however often it is set, one timer runs; cleared, none', () => {
  const { clock, deadline } = setUp();
  for (let count = 0; count < 100; count++) {
    deadline.set(50);
    clock.advance(1);
  }
  assert.equal(clock.pending, 1);
  deadline.clear();
  assert.equal(clock.pending, 0);
});
