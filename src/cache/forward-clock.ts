import type { Clock } from '../async/clock.ts';

/**
 * A clock whose wall time never goes back, and is never before `from` (epoch ms): what is ordered by it stays in order
 * when the machine's clock is set back. Until that has caught up, each time is 1 ms later than the one before.
 */
export function forwardClock(clock: Clock, from: number): Clock {
  let last = from;
  return {
    now: () => clock.now(),
    after: (ms, callback) => clock.after(ms, callback),
    wall: () => {
      const wall = clock.wall();
      last = wall >= last ? wall : last + 1;
      return last;
    },
  };
}
