import type { Interval } from '../http/range.ts';
import type { Share, Turn } from './reader.ts';
import { type Want, wantOfUnread } from './wants.ts';

/** For whom a blob is fetched to its end, read or not: once somebody has wanted all of it, and while it is expected. */
export class Expectation {
  readonly #expected = new Set<Turn>();
  readonly #share: Share = { servedAt: 0 };
  /** Whether somebody wanted all of it. */
  whole = false;

  /** Whether it is fetched to its end. */
  get isThere(): boolean {
    return this.whole || this.#expected.size > 0;
  }

  /** It will probably be read, until what is returned is called. */
  add(turn: Turn): () => boolean {
    this.#expected.add(turn);
    return () => this.#expected.delete(turn);
  }

  /** What is to be fetched of a gap that no reader comes to. */
  want(gap: Interval): Want {
    const [expected] = this.#expected;
    return wantOfUnread(gap, expected, this.#share);
  }
}
