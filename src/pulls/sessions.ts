import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import type { Digest } from '../oci/digest.ts';
import type { Manifest } from '../oci/manifest.ts';

/** Pulls that are remembered at most. */
const maxSessions = 20_000;
/** Milliseconds without a request after which a pull is over. */
const idleAfter = 15 * 60_000;
/** Milliseconds without a request after which a pull does not delay a shutdown. */
const quietAfter = 3000;

interface Session {
  readonly promised: ReadonlySet<Digest>;
  seenAt: number;
}

/**
 * The pulls that clients are in the middle of. A manifest that was served is a promise to serve all it names: clients
 * of containers/image have no way back after it.
 */
export class Sessions {
  readonly #clock: Clock;
  readonly #sessions = new LRUCache<string, Session>({ max: maxSessions });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A manifest was served to this client. `client` is its address, `image` a repository with its upstream. */
  promise(client: string, image: string, { manifests, blobs }: Manifest): void {
    const key = `${client} ${image}`;
    const earlier = this.#live(key)?.promised ?? [];
    const named = [...manifests, ...blobs].map(({ digest }) => digest);
    this.#sessions.set(key, { promised: new Set([...earlier, ...named]), seenAt: this.#clock.now() });
  }

  /** Whether this client has been promised this content. Counts as a sign of life of the pull. */
  isPromised(client: string, image: string, digest: Digest): boolean {
    const session = this.#live(`${client} ${image}`);
    if (session?.promised.has(digest) !== true) return false;
    session.seenAt = this.#clock.now();
    return true;
  }

  /** Whether any pull has asked for something just now, and may ask for more. */
  get active(): boolean {
    const since = this.#clock.now() - quietAfter;
    for (const session of this.#sessions.values()) if (session.seenAt >= since) return true;
    return false;
  }

  #live(key: string): Session | undefined {
    const session = this.#sessions.get(key);
    return session && this.#clock.now() - session.seenAt < idleAfter ? session : undefined;
  }
}
