import type { Room } from '../../src/cache/space.ts';

/** Room that is granted, or not, when a test says so. */
export class HeldRoom implements Room {
  bytes: number;
  written = 0;
  /** What was asked for. */
  readonly asked: number[] = [];
  /** What became of it. */
  readonly ends: string[] = [];
  #answer = Promise.withResolvers<boolean>();

  /** So many bytes are granted from the beginning. */
  constructor(bytes: number) {
    this.bytes = bytes;
  }

  async grow(bytes: number): Promise<boolean> {
    this.asked.push(bytes);
    const granted = await this.#answer.promise;
    if (granted) this.bytes = bytes;
    return granted;
  }

  /** Answers all who wait. */
  answer(granted: boolean): void {
    this.#answer.resolve(granted);
    this.#answer = Promise.withResolvers();
  }

  /** Fails all who wait. */
  fail(error: Error): void {
    this.#answer.reject(error);
    this.#answer = Promise.withResolvers();
  }

  settle(): void {
    this.ends.push('settled');
  }

  release(): void {
    this.ends.push('released');
  }
}
