import type { Digest } from '../oci/digest.ts';

/** What is arriving or being read just now: it stays, however long ago it was asked for first. */
export class Uses {
  readonly #counts = new Map<Digest, number>();

  /** How many different ones there are. */
  get size(): number {
    return this.#counts.size;
  }

  has(digest: Digest): boolean {
    return this.#counts.has(digest);
  }

  /** In use until what is returned is called. */
  hold(digest: Digest): () => void {
    this.#counts.set(digest, (this.#counts.get(digest) ?? 0) + 1);
    let held = true;
    return () => {
      if (held) this.#drop(digest);
      held = false;
    };
  }

  #drop(digest: Digest): void {
    const left = (this.#counts.get(digest) ?? 0) - 1;
    if (left > 0) this.#counts.set(digest, left);
    else this.#counts.delete(digest);
  }
}
