/** Things that are shown, each under a key that stays the same while it is there. */
export type Shown = Iterable<readonly [key: string, view: unknown]>;

/** One kind of things that is followed. */
export interface Topic {
  readonly name: string;
  /** It is looked at in one of so many rounds. */
  readonly every: number;
  /** Called only while somebody listens. */
  read(): Shown | Promise<Shown>;
}

/** What was told of one topic, and what has changed since. Its texts are server-sent events. */
export class Feed {
  readonly topic: Topic;
  /** By key, as JSON. */
  #told: ReadonlyMap<string, string> = new Map();

  constructor(topic: Topic) {
    this.topic = topic;
  }

  /** Everything, as it was read last. */
  get all(): string {
    return this.#event(`{"all":[${[...this.#told].map(inJson).join()}]}`);
  }

  /** Reads it anew. @returns what has changed; `undefined` where nothing has. */
  async changes(): Promise<string | undefined> {
    const before = this.#told;
    const now = new Map([...(await this.topic.read())].map(([key, view]) => [key, JSON.stringify(view)]));
    this.#told = now;
    const set = [...now].filter(([key, json]) => before.get(key) !== json);
    const gone = [...before.keys()].filter((key) => !now.has(key));
    if (set.length === 0 && gone.length === 0) return undefined;
    return this.#event(`{"set":[${set.map(inJson).join()}],"gone":${JSON.stringify(gone)}}`);
  }

  /** Nobody listens any more. */
  forget(): void {
    this.#told = new Map();
  }

  #event(json: string): string {
    return `event: ${this.topic.name}\ndata: ${json}\n\n`;
  }
}

function inJson([key, json]: [string, string]): string {
  return `[${JSON.stringify(key)},${json}]`;
}
