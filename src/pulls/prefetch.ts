import type { Cancel, Clock } from '../async/clock.ts';
import type { BlobCache } from '../cache/blobs.ts';
import type { Share } from '../cache/reader.ts';
import { describeError, type Log } from '../metrics/log.ts';
import type { Route } from '../upstream/routes.ts';
import type { IndexedLayer, Pacing } from './pull-stream.ts';

/** What of a pull tells what it will ask for. */
type PullAhead = Pick<Pacing, 'ahead' | 'hasFreeSlot' | 'watch'>;

/** What prefetching works with. */
export interface PrefetchParts {
  readonly blobs: Pick<BlobCache, 'expect'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Layers of one pull that are fetched ahead at a time. */
const atATime = 6;
/** Milliseconds with a free slot after which a client that did not ask has what is left. */
const quietAfter = 1000;

/** Fetches what pulls will probably ask for: from their first layer on, until they seem to have the rest. */
export class Prefetch {
  readonly #parts: PrefetchParts;
  readonly #followed = new WeakSet<PullAhead>();

  constructor(parts: PrefetchParts) {
    this.#parts = parts;
  }

  /** The pull asks for a layer. Only the first time counts. `route`: where it pulls from. */
  follow(pull: PullAhead, route: Route): void {
    if (this.#followed.has(pull)) return;
    this.#followed.add(pull);
    new Ahead(pull, route, this.#parts).look();
  }
}

/** The layers of one pull that are fetched ahead. */
class Ahead {
  readonly #pull: PullAhead;
  readonly #route: Route;
  readonly #parts: PrefetchParts;
  /** Of its own: what is fetched when nothing else is to be done makes no turn later. */
  readonly #share: Share = { servedAt: 0 };
  readonly #begun = new Set<number>();
  readonly #arriving = new Set<number>();
  readonly #enough = new AbortController();
  readonly #unwatch: () => void;
  #cancelQuiet: Cancel | undefined;

  constructor(pull: PullAhead, route: Route, parts: PrefetchParts) {
    this.#pull = pull;
    this.#route = route;
    this.#parts = parts;
    this.#unwatch = pull.watch(() => this.look());
  }

  /** Something has changed. */
  look(): void {
    if (this.#enough.signal.aborted) return;
    this.#cancelQuiet?.();
    const { ahead } = this.#pull;
    if (ahead.length === 0) {
      this.#end();
      return;
    }
    this.#cancelQuiet = this.#parts.clock.after(quietAfter, () => {
      if (this.#pull.hasFreeSlot) this.#end();
      else this.look();
    });
    const arriving = ahead.filter(({ index }) => this.#arriving.has(index)).length;
    const next = ahead.filter(({ index }) => !this.#begun.has(index)).slice(0, atATime - arriving);
    for (const layer of next) void this.#fetch(layer);
  }

  async #fetch({ layer, index }: IndexedLayer): Promise<void> {
    const { blobs, log } = this.#parts;
    const { digest } = layer.descriptor;
    const { signal } = this.#enough;
    this.#begun.add(index);
    this.#arriving.add(index);
    try {
      await blobs.expect(this.#route, digest, { share: this.#share, layer: index }, signal);
    } catch (error) {
      // Whoever asks for it will be told.
      if (!signal.aborted) log.debug({ digest, error: describeError(error) }, 'a layer could not be fetched ahead');
    }
    this.#arriving.delete(index);
    this.look();
  }

  #end(): void {
    this.#enough.abort(new Error('the client has the other layers'));
    this.#cancelQuiet?.();
    this.#unwatch();
  }
}
