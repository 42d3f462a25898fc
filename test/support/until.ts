import { setTimeout } from 'node:timers/promises';

/** Milliseconds without the condition after which it will not come: many, for a busy machine. */
const patience = 60_000;
/** Milliseconds between two looks, at first and at most: to look often costs what is being waited for. */
const pauses = { first: 2, most: 50 };

/** Resolves soon after the condition holds. @throws after a minute without it */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patience;
  for (let pause = pauses.first; !(await condition()); pause = Math.min(2 * pause, pauses.most)) {
    if (performance.now() > deadline) throw new Error('the condition never came true');
    await setTimeout(pause);
  }
}
