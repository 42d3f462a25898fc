import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { TestContext } from 'node:test';

const attempts = 3;
/** Milliseconds that modelled times, watchdogs of a second among them, can stand. */
const most = 250;

/** What an attempt shows in real time; where the machine held up this process meanwhile, another one is made. */
export async function unlessHeldUp<T>(test: Pick<TestContext, 'diagnostic'>, attempt: () => Promise<T>): Promise<T> {
  for (let left = attempts - 1; ; left--) {
    const delays = monitorEventLoopDelay({ resolution: 10 });
    delays.enable();
    const outcome = await attempt();
    delays.disable();
    const longest = delays.max / 1e6;
    if (longest < most || left === 0) return outcome;
    test.diagnostic(`held up for ${longest.toFixed(0)} ms: once more`);
  }
}
