import { parentPort } from 'node:worker_threads';
import { compareSync } from 'bcryptjs';

/** What the thread is asked: whether this password has this hash. */
export interface BcryptQuestion {
  readonly id: number;
  readonly password: string;
  readonly hash: string;
}

/** The answer to the question of the same `id`. */
export interface BcryptAnswer {
  readonly id: number;
  readonly matches: boolean;
}

/** What is no hash matches nothing. */
function matches({ password, hash }: BcryptQuestion): boolean {
  try {
    return compareSync(password, hash);
  } catch {
    return false;
  }
}

parentPort?.on('message', (question: BcryptQuestion) => {
  parentPort?.postMessage({ id: question.id, matches: matches(question) } satisfies BcryptAnswer);
});
