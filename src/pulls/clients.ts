import { LRUCache } from 'lru-cache';
import type { PullClient } from './pull.ts';
import type { Watchdog } from './watchdogs.ts';

/** A node as it is shown. */
export interface ClientView {
  readonly address: string;
  readonly runtime: string;
  readonly version: string;
  readonly watchdog: Watchdog;
  /** Pulls that it has begun. */
  readonly pulls: number;
  /** Pulls that it would have cancelled for want of progress, had single bytes and held tails not given it some. */
  readonly savedPulls: number;
  /** Pulls that its watchdog may have cancelled while it unpacked. */
  readonly suspectedKills: number;
}

/** What is counted of a node. */
type Counts = { -readonly [Count in 'pulls' | 'savedPulls' | 'suspectedKills']: ClientView[Count] };

/** Nodes that are remembered at most. */
const maxClients = 10_000;

/** The nodes that have pulled lately. */
export class Clients {
  readonly #clients = new LRUCache<string, Counts & { readonly client: PullClient }>({
    maxSize: maxClients,
    sizeCalculation: () => 1,
  });

  /** Adds to what is counted of it. */
  count(client: PullClient, more: Partial<Counts>): void {
    const counts = this.#countsOf(client);
    counts.pulls += more.pulls ?? 0;
    counts.savedPulls += more.savedPulls ?? 0;
    counts.suspectedKills += more.suspectedKills ?? 0;
  }

  /** All of them, the latest first. */
  views(): ClientView[] {
    return [...this.#clients.values()].map(({ client: { address, runtime }, ...counts }) => {
      const { name, version, watchdog } = runtime;
      return { address, runtime: name, version, watchdog, ...counts };
    });
  }

  #countsOf(client: PullClient): Counts {
    const { name, version } = client.runtime;
    const key = `${client.address} ${name}/${version}`;
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const counts = { client, pulls: 0, savedPulls: 0, suspectedKills: 0 };
    this.#clients.set(key, counts);
    return counts;
  }
}
