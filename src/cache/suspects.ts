import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import type { Digest } from '../oci/digest.ts';
import { IntegrityError } from '../oci/errors.ts';
import type { Registry } from '../upstream/registry.ts';

/** Which endpoints may be asked for a blob. */
export interface Precaution {
  /** They have sent wrong bytes of it. */
  readonly avoid: ReadonlySet<string>;
  /** Somebody has, and it is not known who: all of it is fetched from one, as long as that answers. */
  readonly alone: boolean;
}

interface Suspicion {
  readonly culprits: Set<string>;
  alone: boolean;
  /** Times that wrong bytes came and nobody knew from whom. */
  doubts: number;
  /** Times that everybody turned out to be wrong. */
  rounds: number;
  /** Monotonic milliseconds until which it is not tried again. */
  until: number;
}

const trusting: Precaution = { avoid: new Set(), alone: false };
const longestPause = 60_000;

/** Who has sent bytes of a blob that do not hash to its digest. */
export class Suspects {
  readonly #clock: Clock;
  readonly #suspicions = new LRUCache<string, Suspicion>({ max: 1000 });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What to take care of when this blob is fetched. @throws IntegrityError when all have been wrong a moment ago. */
  precaution({ name }: Registry, digest: Digest): Precaution {
    const suspicion = this.#suspicions.get(`${name} ${digest}`);
    if (suspicion === undefined) return trusting;
    if (suspicion.until > this.#clock.now()) throw new IntegrityError(digest, 'other content from every endpoint');
    return { avoid: new Set(suspicion.culprits), alone: suspicion.alone };
  }

  /**
   * The blob came wrong. `from`: who brought it; `undefined` where not all of it is known.
   * @returns whether it should be fetched once more, to find out who it was.
   */
  blame({ name, settings }: Registry, digest: Digest, from: ReadonlySet<string> | undefined): boolean {
    const key = `${name} ${digest}`;
    const suspicion = this.#suspicions.get(key) ?? {
      culprits: new Set(),
      alone: false,
      doubts: 0,
      rounds: 0,
      until: 0,
    };
    this.#suspicions.set(key, suspicion);
    const [culprit, ...others] = from ?? [];
    suspicion.alone = culprit === undefined || others.length > 0;
    if (suspicion.alone) return ++suspicion.doubts <= settings.endpoints.length;
    if (culprit !== undefined) suspicion.culprits.add(culprit);
    if (settings.endpoints.every((endpoint) => suspicion.culprits.has(endpoint))) this.#startOver(suspicion);
    return false;
  }

  /** The blob came right. */
  clear({ name }: Registry, digest: Digest): void {
    this.#suspicions.delete(`${name} ${digest}`);
  }

  /** Whatever it was may have passed: they are all believed again, at once the first time, and later and later then. */
  #startOver(suspicion: Suspicion): void {
    const pause = suspicion.rounds === 0 ? 0 : Math.min(longestPause, 1000 * 2 ** suspicion.rounds);
    suspicion.culprits.clear();
    suspicion.doubts = 0;
    suspicion.rounds++;
    suspicion.until = this.#clock.now() + pause;
  }
}
