import { setTimeout } from 'node:timers/promises';

/** Resolves as soon as the condition holds. @throws after 5 s without it, or after `patience` milliseconds */
export async function until(condition: () => boolean | Promise<boolean>, patience = 5000): Promise<void> {
  const deadline = performance.now() + patience;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('the condition never came true');
    await setTimeout(5);
  }
}
