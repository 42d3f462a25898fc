import type { Digest } from '../oci/digest.ts';
import type { Offset } from './layer.ts';
import type { Pull, PulledImage } from './pull.ts';

/** Pulls of one client from one repository that are remembered, beside those that go on. */
const maxPulls = 16;
/** Pulls of one client from one repository that go on, and are told apart. */
const maxOpen = 256;
/** Digests that are remembered as promised to it. */
const maxPromised = 10_000;

/** What a group weighs that remembers nothing. */
const ownWeight = 10;

/** What one client does with one repository: what it was promised, and its pulls, the newest last. */
export class PullGroup {
  readonly #promised = new Set<Digest>();
  readonly #byConnection = new WeakMap<object, Pull>();
  #pulls: Pull[] = [];
  /** The last index that it asked for: what it pulls then is called as it called that. */
  index: PulledImage | undefined;
  /** When it last asked for anything: monotonic ms. */
  seenAt = 0;

  /** What it weighs in memory, in layers and promises. */
  get weight(): number {
    return this.#pulls.reduce((sum, { layerCount }) => sum + layerCount, ownWeight + this.#promised.size);
  }

  /** Whether anything is on its way to the client. */
  get isOpen(): boolean {
    return this.#pulls.some(({ isOpen }) => isOpen);
  }

  /** What the client calls this image. */
  nameOf({ name, digest }: PulledImage): string {
    return this.index?.contents.manifests.some((each) => each.digest === digest) ? this.index.name : name;
  }

  /** Remembers a promise. The oldest are forgotten. */
  promise(digests: Iterable<Digest>): void {
    for (const digest of digests) this.#promised.add(digest);
    for (const digest of this.#promised) {
      if (this.#promised.size <= maxPromised) break;
      this.#promised.delete(digest);
    }
  }

  isPromised(digest: Digest): boolean {
    return this.#promised.has(digest);
  }

  /** The pulls of this manifest, the newest last. */
  pullsOf(manifest: Digest): Pull[] {
    return this.#pulls.filter(({ image }) => image.digest === manifest);
  }

  /** A manifest was served on this connection: its next requests belong to this pull. */
  begin(pull: Pull, connection: object): void {
    this.#byConnection.set(connection, pull);
    if (this.#pulls.includes(pull)) return;
    this.#pulls.push(pull);
    const dropped = this.#excess(pull);
    this.#pulls = this.#pulls.filter((each) => !dropped.has(each));
    for (const each of dropped) each.forget();
  }

  /**
   * The pull that a request belongs to: by its connection, else by what was asked for already. Where several fit equally,
   * it is the oldest, and from then on they cannot be told apart. A request that fits none, though there were pulls of
   * such an image, begins another one, made by `repeat`. `undefined`: no image here has this blob.
   */
  pullFor(digest: Digest, from: Offset, connection: object, repeat: (pull: Pull) => Pull): Pull | undefined {
    const having = this.#pulls.filter((pull) => pull.names(digest));
    const latest = having.at(-1);
    if (latest === undefined) return undefined;
    const pull = this.#find(having, digest, from, connection) ?? repeat(latest);
    this.begin(pull, connection);
    return pull;
  }

  /** What is remembered no longer, now that this one begins: what is over or never started, and what rests longest. */
  #excess(begun: Pull): Set<Pull> {
    const isIdle = ({ outcome, started }: Pull) => outcome !== undefined || !started;
    const others = this.#pulls.filter((pull) => pull !== begun);
    const idle = others.filter(isIdle).slice(0, Math.max(0, this.#pulls.length - maxPulls));
    const resting = others
      .filter((pull) => !isIdle(pull) && !pull.isOpen)
      .toSorted((a, b) => a.restsSince - b.restsSince)
      .slice(0, -maxPulls);
    const excess = new Set([...idle, ...resting]);
    if (this.#pulls.length - excess.size > maxPulls + maxOpen) excess.add(begun);
    return excess;
  }

  #find(having: readonly Pull[], digest: Digest, from: Offset, connection: object): Pull | undefined {
    const known = this.#byConnection.get(connection);
    if (known !== undefined && having.includes(known) && known.fit(digest, from) !== undefined) return known;
    const fits = having.flatMap((pull) => {
      const fit = pull.fit(digest, from);
      return fit === undefined ? [] : { pull, fit };
    });
    const least = Math.min(...fits.map(({ fit }) => fit));
    const [best, ...others] = fits.filter(({ fit }) => fit === least).map(({ pull }) => pull);
    best?.mixWith(others.filter(({ image }) => image.digest === best.image.digest));
    return best;
  }
}
