import { setTimeout } from 'node:timers/promises';

/** Resolves as soon as the condition holds. @throws after 5 s without it */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('the condition never came true');
    await setTimeout(5);
  }
}
