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
  /** Pulls that its watchdog may have cancelled while it unpacked. */
  readonly suspectedKills: number;
}

/** Nodes that are remembered at most. */
const maxClients = 10_000;

/** The nodes that have pulled lately. */
export class Clients {
  readonly #clients = new LRUCache<string, { client: PullClient; pulls: number; suspectedKills: number }>({
    max: maxClients,
  });

  /** It has begun a pull. */
  pulled(client: PullClient): void {
    this.#countsOf(client).pulls++;
  }

  /** It may have cancelled one. */
  suspected(client: PullClient): void {
    this.#countsOf(client).suspectedKills++;
  }

  /** All of them, the latest first. */
  views(): ClientView[] {
    return [...this.#clients.values()].map(({ client: { address, runtime }, pulls, suspectedKills }) => {
      const { name, version, watchdog } = runtime;
      return { address, runtime: name, version, watchdog, pulls, suspectedKills };
    });
  }

  #countsOf(client: PullClient): { pulls: number; suspectedKills: number } {
    const { name, version } = client.runtime;
    const key = `${client.address} ${name}/${version}`;
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const counts = { client, pulls: 0, suspectedKills: 0 };
    this.#clients.set(key, counts);
    return counts;
  }
}
