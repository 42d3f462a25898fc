import { LRUCache } from 'lru-cache';
import type { Cancel, Clock } from '../async/clock.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import { Clients, type ClientView } from './clients.ts';
import type { Offset } from './layer.ts';
import { Pull, type PullClient, type PulledImage } from './pull.ts';
import { PullGroup } from './pull-group.ts';
import type { PullStream } from './pull-stream.ts';
import type { HeldOf, PullView } from './pull-view.ts';
import type { RulesOf } from './rules.ts';

/** Layers and promises that are remembered at most, of all clients together. */
const maxWeight = 500_000;
/** Milliseconds without a request after which a client is not in the middle of anything. */
const idleAfter = 15 * 60_000;
/** Milliseconds without a request after which a pull that waits for nothing does not delay a shutdown. */
const quietAfter = 3000;
const settleEvery = 5000;
/** Pulls that are shown after they have ended. */
const shownAfterwards = 200;

/** What sessions are made of. */
export interface SessionsParts {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly rulesOf: RulesOf;
}

/** A request for a blob. */
export interface Asked {
  readonly repository: string;
  readonly digest: Digest;
  /** From where on, to the end; `undefined` where less is asked for. */
  readonly from: Offset;
  /** What stands for its TCP connection: always the same object. */
  readonly connection: object;
}

/**
 * The pulls that clients are in the middle of. A manifest that was served is a promise to serve all it names: clients
 * of containers/image have no way back after it. An image manifest begins a pull.
 */
export class Sessions {
  readonly #parts: SessionsParts;
  readonly #groups = new LRUCache<string, PullGroup>({
    maxSize: maxWeight,
    sizeCalculation: ({ weight }) => weight,
  });
  readonly #clients = new Clients();
  /** Begun, and not over. */
  readonly #live = new Set<Pull>();
  readonly #over: Pull[] = [];
  #followed = 0;
  #cancelSettling: Cancel | undefined;

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  /**
   * A manifest was served to this client, on this connection. Who asks for it again before it asks for a layer pulls once.
   * `repository` is its name with its upstream.
   */
  begin(client: PullClient, repository: string, image: PulledImage, connection: object): void {
    const { manifests, blobs, layers } = image.contents;
    const group = this.#groupOf(client, repository) ?? new PullGroup();
    group.seenAt = this.#parts.clock.now();
    // Clients that ask by tag ask by digest then: what they called it first is what it is called.
    if (manifests.length > 0 && group.index?.digest !== image.digest) group.index = image;
    group.promise([...manifests, ...blobs].map(({ digest }) => digest));
    if (layers.length > 0) {
      const earlier = group.pullsOf(image.digest);
      const cancelled = earlier.find((pull) => pull.suspectKill());
      if (cancelled) this.#suspect(cancelled);
      group.begin(
        earlier.find(({ started }) => !started) ?? this.#pull(client, { ...image, name: group.nameOf(image) }),
        connection,
      );
    }
    this.#keep(client, repository, group);
  }

  /** Whether this client has been promised this content. Counts as a sign of life of the pull. */
  isPromised(client: PullClient, repository: string, digest: Digest): boolean {
    const group = this.#groupOf(client, repository);
    if (group?.isPromised(digest) !== true) return false;
    group.seenAt = this.#parts.clock.now();
    return true;
  }

  /** The client asks for a blob. One whose manifest it has not asked for is a pull of its own, and is not counted. */
  request(client: PullClient, { repository, digest, from, connection }: Asked): PullStream {
    const group = this.#groupOf(client, repository);
    const repeat = ({ image }: Pull) => this.#pull(client, image);
    const pull = group?.pullFor(digest, from, connection, repeat);
    if (group === undefined || pull === undefined)
      return this.#pull(client, loneBlob(repository, digest)).request(digest, from);
    group.seenAt = this.#parts.clock.now();
    this.#keep(client, repository, group);
    const stream = pull.request(digest, from);
    if (pull.started && !this.#live.has(pull)) this.#follow(pull);
    return stream;
  }

  /** Whether any pull waits for what it has asked for, or has asked just now, and may ask for more. */
  get active(): boolean {
    const since = this.#parts.clock.now() - quietAfter;
    for (const { seenAt, isOpen } of this.#groups.values()) if (isOpen || seenAt >= since) return true;
    return false;
  }

  /** Pulls that go on, then those that ended lately, each the newest first. */
  pulls(heldOf: HeldOf): PullView[] {
    return [...[...this.#live].toReversed(), ...this.#over.toReversed()].map((pull) => pull.view(heldOf));
  }

  /** The nodes that have pulled lately. */
  clients(): ClientView[] {
    return this.#clients.views();
  }

  /** Nothing is counted any more. */
  close(): void {
    this.#cancelSettling?.();
    this.#live.clear();
  }

  #pull(client: PullClient, image: PulledImage): Pull {
    const { clock, rulesOf } = this.#parts;
    return new Pull(client, image, rulesOf(client.address, client.runtime), clock);
  }

  #follow(pull: Pull): void {
    pull.id = ++this.#followed;
    this.#live.add(pull);
    this.#clients.count(pull.client, { pulls: 1 });
    pull.watch(() => this.#settle(pull));
    this.#cancelSettling ??= this.#settleLater();
  }

  #settleLater(): Cancel {
    return this.#parts.clock.after(settleEvery, () => {
      for (const pull of this.#live) this.#settle(pull);
      this.#cancelSettling = this.#live.size > 0 ? this.#settleLater() : undefined;
    });
  }

  #settle(pull: Pull): void {
    const outcome = this.#live.has(pull) ? pull.settle() : undefined;
    if (outcome === undefined) return;
    this.#live.delete(pull);
    this.#over.push(pull);
    if (this.#over.length > shownAfterwards) this.#over.shift();
    const { pulls, clientGap } = this.#parts.metrics;
    pulls.inc({ runtime: pull.client.runtime.name, outcome });
    clientGap.observe(pull.longestGap / 1000);
    if (pull.saved) this.#clients.count(pull.client, { savedPulls: 1 });
  }

  #suspect({ client, saved }: Pull): void {
    this.#clients.count(client, { suspectedKills: 1, savedPulls: saved ? -1 : 0 });
    this.#parts.metrics.suspectedKills.inc();
  }

  #groupOf(client: PullClient, repository: string): PullGroup | undefined {
    const group = this.#groups.get(keyOf(client, repository));
    const idle = this.#parts.clock.now() - (group?.seenAt ?? 0) >= idleAfter;
    return group?.isOpen || !idle ? group : undefined;
  }

  /** Weighed anew. */
  #keep(client: PullClient, repository: string, group: PullGroup): void {
    const key = keyOf(client, repository);
    this.#groups.delete(key);
    this.#groups.set(key, group);
  }
}

function keyOf({ address, runtime }: PullClient, repository: string): string {
  return `${address} ${runtime.name}/${runtime.version} ${repository}`;
}

function loneBlob(repository: string, digest: Digest): PulledImage {
  const blob = { digest, size: 0, mediaType: '' };
  return { name: repository, digest, contents: { mediaType: '', manifests: [], blobs: [blob], layers: [] } };
}
