import type { BufferBudget } from '../async/buffers.ts';
import { RegistryError } from '../oci/errors.ts';

/** Whether one more pull may begin. Those that have begun go on: what was promised to them is kept. */
export class Admission {
  readonly #budget: BufferBudget;
  readonly #maxStreams: () => number;
  #draining = false;

  /** `maxStreams`: with so many blobs on their way to clients, no pull begins. */
  constructor(budget: BufferBudget, maxStreams: () => number) {
    this.#budget = budget;
    this.#maxStreams = maxStreams;
  }

  /** Whether the mirror is shutting down. */
  get draining(): boolean {
    return this.#draining;
  }

  /** The mirror is shutting down: from now on, no pull begins. */
  close(): void {
    this.#draining = true;
  }

  /** Called where a request would begin a pull. @throws RegistryError `UNAVAILABLE`: clients turn to the next mirror. */
  check(): void {
    if (this.#draining) throw new RegistryError('UNAVAILABLE', { message: 'the mirror is shutting down' });
    if (this.#budget.streams >= this.#maxStreams()) {
      throw new RegistryError('UNAVAILABLE', { message: 'the mirror serves as many pulls as it can' });
    }
  }
}
