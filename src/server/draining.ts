import { RegistryError } from '../oci/errors.ts';

/** Whether the mirror is shutting down: then it makes no new promises, and keeps those that it has made. */
export class Draining {
  #draining = false;

  get active(): boolean {
    return this.#draining;
  }

  /** From now on. */
  begin(): void {
    this.#draining = true;
  }

  /** Called where a request would begin a pull. @throws RegistryError `UNAVAILABLE` while draining: clients turn to the next mirror. */
  refuse(): void {
    if (this.#draining) throw new RegistryError('UNAVAILABLE', { message: 'the mirror is shutting down' });
  }
}
