import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Cancel, Clock } from '../async/clock.ts';
import { describeError, type Log } from '../metrics/log.ts';
import { Feed, type Topic } from './feed.ts';
import { reply } from './reply.ts';

/** What events are made of. */
export interface EventsParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly topics: readonly Topic[];
}

interface Listener {
  readonly response: ServerResponse;
  /** It has not taken all that was sent, or nothing was: it is told everything as soon as it can take it. */
  behind: boolean;
}

/** Milliseconds between two rounds. */
const roundLength = 500;
/** In one of so many rounds, listeners hear that the mirror is there. */
const aliveEvery = 20;
const maxListeners = 32;

const headers = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  // A proxy on the way must not collect what is meant for now.
  'x-accel-buffering': 'no',
};

/**
 * `/api/events`: what is shown, as server-sent events. An event has the name of its topic, and says `{all: […]}` at first
 * and then `{set: […], gone: […]}` when something has changed: items are `[key, view]`, and `gone` are keys. `alive` says
 * `{now}`, the wall time. One timer serves all who listen, and there is none while nobody does.
 */
export class Events {
  readonly #parts: EventsParts;
  readonly #feeds: readonly Feed[];
  readonly #listeners = new Set<Listener>();
  #round = 0;
  #closed = false;
  #running = false;
  #cancelRound: Cancel = () => {};

  constructor(parts: EventsParts) {
    this.#parts = parts;
    this.#feeds = parts.topics.map((topic) => new Feed(topic));
  }

  /** Answers with a stream that goes on until the client leaves or the mirror does. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#closed || this.#listeners.size >= maxListeners) {
      const why = this.#closed ? 'the mirror is shutting down\n' : 'too many listen already\n';
      return reply(request, response, 503, { 'content-type': 'text/plain; charset=utf-8' }, Buffer.from(why));
    }
    response.writeHead(200, headers);
    if (request.method === 'HEAD') return void response.end();
    const listener = { response, behind: true };
    this.#listeners.add(listener);
    response.once('close', () => this.#listeners.delete(listener));
    response.write(this.#alive());
    if (this.#running) return;
    this.#running = true;
    await this.#look();
  }

  /** Ends all streams: the mirror is shutting down. */
  close(): void {
    this.#closed = true;
    this.#cancelRound();
    for (const { response } of this.#listeners) response.end();
  }

  async #look(): Promise<void> {
    try {
      const texts = this.#round % aliveEvery === aliveEvery - 1 ? [this.#alive()] : [];
      for (const feed of this.#feeds) {
        if (this.#round % feed.topic.every === 0) texts.push((await feed.changes()) ?? '');
      }
      for (const listener of this.#listeners) this.#tell(listener, texts.join(''));
    } catch (error) {
      this.#parts.log.error({ error: describeError(error) }, 'what is shown could not be read');
    }
    this.#round++;
    if (!this.#closed) this.#cancelRound = this.#parts.clock.after(roundLength, () => this.#next());
  }

  #next(): void {
    if (this.#listeners.size > 0) return void this.#look();
    this.#running = false;
    this.#round = 0;
    for (const feed of this.#feeds) feed.forget();
  }

  #tell(listener: Listener, changes: string): void {
    const { response, behind } = listener;
    if (response.writableNeedDrain || response.writableEnded) {
      listener.behind = true;
      return;
    }
    const text = behind ? this.#feeds.map((feed) => feed.all).join('') : changes;
    listener.behind = false;
    if (text !== '') response.write(text);
  }

  #alive(): string {
    return `event: alive\ndata: ${JSON.stringify({ now: this.#parts.clock.wall() })}\n\n`;
  }
}
