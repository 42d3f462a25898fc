import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '../../src/oci/digest.ts';
import type { Descriptor } from '../../src/oci/manifest.ts';

/** Cancels the pull when no event has come for too long. The first event arms it: server/image_pull.go. */
export class Watchdog {
  /** Real milliseconds. */
  readonly timeout: number;
  readonly #controller = new AbortController();
  readonly cancelled = new Promise<void>((resolve) => this.signal.addEventListener('abort', () => resolve()));
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(timeout: number | undefined) {
    this.timeout = timeout ?? Number.POSITIVE_INFINITY;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  event(): void {
    clearTimeout(this.#timer);
    if (this.#stopped || !Number.isFinite(this.timeout)) return;
    this.#timer = setTimeout(() => this.#controller.abort(), this.timeout);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}

/** Unpacks layers in order, one at a time. Who brings the one that is next unpacks all that are ready: storage_dest.go. */
export class CommitWorker {
  readonly #layers: Set<Digest>;
  readonly #rate: number;
  readonly #ready = new Map<number, Descriptor>();
  #next = 0;
  #working = false;

  constructor(layers: Set<Digest>, rate: number) {
    this.#layers = layers;
    this.#rate = rate;
  }

  has({ digest }: Descriptor): boolean {
    return this.#layers.has(digest);
  }

  async queueOrCommit(index: number, layer: Descriptor): Promise<void> {
    this.#ready.set(index, layer);
    if (this.#working) return;
    this.#working = true;
    for (let next = this.#ready.get(this.#next); next !== undefined; next = this.#ready.get(this.#next)) {
      if (!this.has(next)) await sleep((next.size / this.#rate) * 1000);
      this.#layers.add(next.digest);
      this.#next++;
    }
    this.#working = false;
  }
}

/** Measures how long no byte comes while at least one layer is being downloaded. */
export class Silence {
  #open = 0;
  #since = 0;
  longest = 0;

  opened(): void {
    if (this.#open++ === 0) this.#since = performance.now();
  }

  bytes(): void {
    const now = performance.now();
    this.longest = Math.max(this.longest, now - this.#since);
    this.#since = now;
  }

  closed(): void {
    this.longest = Math.max(this.longest, performance.now() - this.#since);
    this.#open--;
  }
}
