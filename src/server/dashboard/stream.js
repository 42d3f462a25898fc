/** @import { ClientView } from '../../pulls/clients.ts' */
/** @import { FlightView } from '../../cache/flight-view.ts' */
/** @import { PullView } from '../../pulls/pull-view.ts' */
/** @import { StatusView } from '../status.ts' */
import { after, now } from './time.js';

/**
 * What the mirror shows, by topic and key.
 * @typedef {{
 *   readonly pulls: Map<string, PullView>,
 *   readonly flights: Map<string, FlightView>,
 *   readonly clients: Map<string, ClientView>,
 *   readonly status: Map<string, StatusView>,
 * }} Shown
 */

/** Milliseconds without a word, not even that the mirror is there, after which the connection counts as lost. */
const patience = 25_000;
const firstRetry = 1000;
const longestRetry = 10_000;

/** Follows the mirror's events, and connects again whenever that ends. */
export class Stream {
  /** @type {Shown} */
  shown = { pulls: new Map(), flights: new Map(), clients: new Map(), status: new Map() };
  /** Milliseconds by which the mirror's clock is ahead of the page's. */
  ahead = 0;
  #changed;
  #connected;
  #failures = 0;
  #cancelWatch = () => {};

  /**
   * @param {(topic: string) => void} changed called after something has changed
   * @param {(connected: boolean) => void} connected called when the connection is there, and when it is lost
   */
  constructor(changed, connected) {
    this.#changed = changed;
    this.#connected = connected;
  }

  /** Connects. */
  open() {
    const source = new EventSource('api/events');
    const lost = () => {
      source.close();
      this.#cancelWatch();
      this.#connected(false);
      after(Math.min(longestRetry, firstRetry * 2 ** this.#failures++), () => this.open());
    };
    const heard = () => {
      this.#cancelWatch();
      this.#cancelWatch = after(patience, lost);
    };
    heard();
    source.addEventListener('error', lost);
    source.addEventListener('alive', ({ data }) => {
      heard();
      this.ahead = JSON.parse(data).now - now();
      this.#failures = 0;
      this.#connected(true);
    });
    for (const [topic, views] of Object.entries(this.shown)) {
      source.addEventListener(topic, ({ data }) => {
        heard();
        take(views, JSON.parse(data));
        this.#changed(topic);
      });
    }
  }
}

/**
 * @param {Map<string, unknown>} views
 * @param {{ all?: [string, unknown][], set?: [string, unknown][], gone?: string[] }} news
 */
function take(views, { all, set = all ?? [], gone = [] }) {
  if (all !== undefined) views.clear();
  for (const key of gone) views.delete(key);
  for (const [key, view] of set) views.set(key, view);
}
