import type { Clock } from '../async/clock.ts';
import type { Share } from '../cache/reader.ts';
import type { Digest } from '../oci/digest.ts';
import type { Manifest } from '../oci/manifest.ts';
import { downloadSlots, type Hold, holdOf, unpackedAt } from './commit-model.ts';
import { Layer, type Offset } from './layer.ts';
import { type IndexedLayer, type Pacing, PullStream } from './pull-stream.ts';
import type { HeldOf, PullOutcome, PullView } from './pull-view.ts';
import type { PullRules } from './rules.ts';
import type { Runtime } from './runtimes.ts';
import { Silence } from './silence.ts';
import { canTimeOut } from './watchdogs.ts';

/** Who pulls. */
export interface PullClient {
  readonly address: string;
  readonly runtime: Runtime;
}

/** What is pulled. */
export interface PulledImage {
  /** The repository with its upstream, and the reference. */
  readonly name: string;
  /** The image's manifest. */
  readonly digest: Digest;
  readonly contents: Manifest;
}

/** Layers of one image that are followed. What is above is served like any blob. */
const maxLayers = 1024;
/** Layers that containerd and Docker download at a time. */
const fewSlots = 3;
/** Milliseconds without an open stream after which a pull is over. */
const restAfter = 60_000;
/** Part of the timeout: with more than this left to unpack after the last byte, a watchdog may have bitten. */
const nearLimit = 0.4;
/** Milliseconds after the modelled end of unpacking within which a repeat is taken for a retry. */
const retryWithin = 5 * 60_000;

/** The pull of one image by one client, as the client sees it. */
export class Pull implements Pacing {
  /** Its number among those that are shown; 0 before. */
  id = 0;
  readonly client: PullClient;
  readonly image: PulledImage;
  /** What all its readers share, where the upstream is the bottleneck. */
  readonly share: Share = { servedAt: 0 };
  readonly #rules: PullRules;
  readonly #clock: Clock;
  readonly #layers: readonly Layer[];
  readonly #silence: Silence;
  readonly #watchers = new Set<() => void>();
  /** Pulls whose streams cannot be told from those of this one; itself among them. */
  #kin = new Set<Pull>([this]);
  #startedAt: string | undefined;
  #open = 0;
  #forgotten = false;
  #suspected = false;
  #saved = false;
  #outcome: PullOutcome | undefined;
  /** When a stream ended, last: monotonic ms. */
  restsSince = 0;
  drips = 0;
  holds = 0;

  constructor(client: PullClient, image: PulledImage, rules: PullRules, clock: Clock) {
    this.client = client;
    this.image = image;
    this.#rules = rules;
    this.#clock = clock;
    this.#layers = image.contents.layers.slice(0, maxLayers).map((each) => new Layer(each, client.runtime.takesParts));
    this.#silence = new Silence(clock);
  }

  /** Whether any layer has been asked for to its end. Who mounts an image and reads parts of it does not pull it. */
  get started(): boolean {
    return this.#startedAt !== undefined;
  }

  /** Whether anything is on its way to the client. */
  get isOpen(): boolean {
    return this.#open > 0;
  }

  /** The layers above the highest one that was asked for, in order: those that a registry has. */
  get ahead(): readonly IndexedLayer[] {
    const highest = this.#layers.findLastIndex(({ requestedAt }) => requestedAt !== undefined);
    const named = new Set(this.image.contents.blobs.map(({ digest }) => digest));
    return this.#layers
      .map((layer, index) => ({ layer, index }))
      .filter(({ layer, index }) => index > highest && named.has(layer.descriptor.digest));
  }

  /** Whether the client could have asked for one more layer by now. What it unpacks takes a slot, too. */
  get hasFreeSlot(): boolean {
    const slots = this.client.runtime.fallsBack ? fewSlots : downloadSlots;
    const unpacks = unpackedAt(this.#layers, this.#rules.model) > this.#clock.now();
    return this.#open + (unpacks ? 1 : 0) < slots;
  }

  /** How many layers are followed. */
  get layerCount(): number {
    return this.#layers.length;
  }

  /** When bytes last flowed on any of its streams: monotonic ms. */
  get flowedAt(): number | undefined {
    return this.#silence.brokenAt;
  }

  /** The longest time in milliseconds without a byte while one of its sockets could take some. */
  get longestGap(): number {
    return this.#silence.longest;
  }

  /** How it ended; `undefined` while it goes on. */
  get outcome(): PullOutcome | undefined {
    return this.#outcome;
  }

  /** Whether, when it ended, it looked as if its node would have cancelled it without our doing. */
  get saved(): boolean {
    return this.#saved;
  }

  /** Whether the image has this blob. */
  names(digest: Digest): boolean {
    return this.image.contents.blobs.some((blob) => blob.digest === digest);
  }

  /** How well a request fits this pull: 0 is best, `undefined`: not at all. */
  fit(digest: Digest, from: Offset): number | undefined {
    if (this.#outcome !== undefined) return undefined;
    const fits = this.#layersOf(digest).flatMap(({ layer }) => layer.fit(from) ?? []);
    if (fits.length > 0) return Math.min(...fits);
    return this.#layersOf(digest).length === 0 && this.names(digest) ? 0 : undefined;
  }

  /** The client asks for a blob of this image. */
  request(digest: Digest, from: Offset): PullStream {
    const fitOf = ({ layer }: IndexedLayer) => layer.fit(from) ?? Number.POSITIVE_INFINITY;
    const [best] = this.#layersOf(digest).toSorted((a, b) => fitOf(a) - fitOf(b));
    if (best !== undefined && from !== undefined) this.#startedAt ??= new Date(this.#clock.wall()).toISOString();
    this.#open++;
    const ended = () => {
      this.#open--;
      this.restsSince = this.#clock.now();
      this.#changed();
    };
    const stream = new PullStream(this, best, { clock: this.#clock, silence: this.#silence, ended });
    best?.layer.begin(stream, from, this.#clock.now());
    this.#changed();
    return stream;
  }

  /** From now on, streams of these pulls cannot be told from each other. */
  mixWith(pulls: readonly Pull[]): void {
    for (const pull of pulls) {
      if (this.#kin.has(pull)) continue;
      for (const each of pull.#kin) {
        this.#kin.add(each);
        each.#kin = this.#kin;
      }
    }
  }

  /** No request finds it any more: it is over once nothing is on its way to the client. */
  forget(): void {
    this.#forgotten = true;
    this.#changed();
    this.#leaveKin();
  }

  /** What to hold of this pull alone, by the model. Never anything for clients that are not guarded. */
  hold(now: number): Hold | undefined {
    return this.#rules.guarded && this.#outcome === undefined
      ? holdOf(this.#layers, this.#rules.model, now)
      : undefined;
  }

  /** Until when the tail of this layer is to be held, whichever of the pulls it belongs to: the longest counts. */
  holdUntil(layer: number, now: number): number | undefined {
    const holds = [...this.#kin].flatMap((pull) => pull.hold(now) ?? []).filter((hold) => hold.layer === layer);
    return holds.length === 0 ? undefined : Math.max(...holds.map(({ until }) => until));
  }

  /** Calls `listener` whenever what is to be held may have changed, until what is returned is called. */
  watch(listener: () => void): () => void {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  /** Ends it when nothing more can be asked for, or nothing has been for a while. @returns how, when that is now. */
  settle(): PullOutcome | undefined {
    if (this.#outcome !== undefined || !this.started || this.isOpen) return undefined;
    const rests = this.#forgotten || this.#clock.now() - this.restsSince >= restAfter;
    if (!rests && !this.#isComplete()) return undefined;
    this.#outcome = this.#judge();
    this.#leaveKin();
    this.#saved = (this.#outcome === 'complete' || this.#outcome === 'partial') && this.#wasAtRisk();
    return this.#outcome;
  }

  /**
   * Whether a repeat now looks like the retry of a node whose watchdog has cancelled this pull: it had all that it asked
   * for, and much was left to unpack. True once.
   */
  suspectKill(): boolean {
    const { timeout } = this.#rules.model;
    const asked = this.#layers.filter(({ requestedAt }) => requestedAt !== undefined);
    const lastByteAt = Math.max(...asked.map(({ deliveredAt }) => deliveredAt ?? Number.POSITIVE_INFINITY));
    const unpacked = unpackedAt(this.#layers, this.#rules.model);
    const now = this.#clock.now();
    const near = unpacked - lastByteAt >= nearLimit * timeout;
    if (this.#suspected || !this.#canTimeOut || !near || now < lastByteAt + timeout || now > unpacked + retryWithin)
      return false;
    this.#suspected = true;
    return true;
  }

  /** As it is shown. */
  view(heldOf: HeldOf): PullView {
    const { address, runtime } = this.client;
    return {
      id: this.id,
      client: address,
      runtime: runtime.name,
      version: runtime.version,
      watchdog: runtime.watchdog,
      timeout: this.#canTimeOut ? this.#rules.model.timeout : undefined,
      image: this.image.name,
      digest: this.image.digest,
      startedAt: this.#startedAt,
      layers: this.#layers.map((layer, index) => this.#viewLayer(layer, index, heldOf)),
      longestGap: this.longestGap,
      drips: this.drips,
      holds: this.holds,
      saved: this.#saved && !this.#suspected,
      suspectedKill: this.#suspected,
      outcome: this.#outcome,
    };
  }

  #viewLayer(layer: Layer, index: number, heldOf: HeldOf): PullView['layers'][number] {
    const { descriptor, sent, state, waitsFor, drips } = layer;
    const { digest, size } = descriptor;
    const now = this.#clock.now();
    const until = waitsFor === 'unpacking' ? this.holdUntil(index, now) : undefined;
    const heldFor = until !== undefined && Number.isFinite(until) ? Math.round(until - now) : undefined;
    const held = this.#outcome === undefined ? heldOf(digest, size) : undefined;
    return { digest, size, held, sent, state, waitsFor, heldFor, drips };
  }

  get #canTimeOut(): boolean {
    return canTimeOut(this.client.runtime.watchdog);
  }

  /**
   * Whether its node would have seen no progress for too long: while nothing but drips flowed, or, had the last bytes
   * gone out as soon as they could, while it unpacked.
   */
  #wasAtRisk(): boolean {
    const { timeout } = this.#rules.model;
    if (!this.#canTimeOut) return false;
    if (this.#silence.longestUndripped >= timeout) return true;
    const heldAt = this.#layers.flatMap((layer) => layer.heldAt ?? []);
    const others = this.#layers.flatMap(({ heldAt, deliveredAt }) => (heldAt === undefined ? (deliveredAt ?? []) : []));
    return heldAt.length > 0 && unpackedAt(this.#layers, this.#rules.model) - Math.max(...heldAt, ...others) >= timeout;
  }

  /** The same content may stand in several places: then it is asked for once or more often. */
  #layersOf(digest: Digest): IndexedLayer[] {
    return this.#layers.flatMap((layer, index) => (layer.descriptor.digest === digest ? { layer, index } : []));
  }

  #isComplete(): boolean {
    const delivered = this.#layers.filter(({ state }) => state === 'delivered');
    const digests = new Set(delivered.map(({ descriptor }) => descriptor.digest));
    return this.#layers.every(({ descriptor }) => digests.has(descriptor.digest));
  }

  #judge(): PullOutcome {
    const states = new Set(this.#layers.map(({ state, parted }) => (parted ? 'requested' : state)));
    if (states.has('failed')) return 'failed';
    if (states.has('aborted')) return 'aborted';
    return this.#isComplete() ? 'complete' : 'partial';
  }

  #leaveKin(): void {
    this.#kin.delete(this);
    this.#kin = new Set([this]);
  }

  #changed(): void {
    for (const pull of this.#kin) for (const listener of pull.#watchers) listener();
  }
}
