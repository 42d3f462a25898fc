/** @import { Shown } from './stream.js' */
import { element, write } from './dom.js';
import { inBytes, inNumber } from './words.js';

/** A few figures that say at a glance whether the mirror helps. */
export class Tiles {
  root = element('dl', { class: 'tiles' });
  #running = this.#add('Pulls running');
  #saved = this.#add('Pulls saved');
  #ratio = this.#add('Answered from cache');
  #served = this.#add('Served');
  #cache = this.#add('Kept');

  /** @param {Shown} shown */
  show({ pulls, clients, status }) {
    const running = [...pulls.values()].filter(({ outcome }) => outcome === undefined).length;
    const sum = (/** @type {'savedPulls' | 'suspectedKills' | 'pulls'} */ count) =>
      [...clients.values()].reduce((total, client) => total + client[count], 0);
    this.#running(String(running), `${inNumber(sum('pulls'), 'pull')} so far`);
    this.#saved(sum('savedPulls').toLocaleString('en'), inNumber(sum('suspectedKills'), 'suspected kill'));
    const view = status.get('status');
    if (view === undefined) return;
    const { cache, servedBytes, upstreams } = view;
    const fetched = upstreams.reduce((total, { bytes }) => total + bytes, 0);
    this.#ratio(cache.hitRatio === null ? '–' : `${Math.round(cache.hitRatio * 100)} %`, 'of all requests');
    this.#served(inBytes(servedBytes), `${inBytes(fetched)} fetched`);
    this.#cache(inBytes(cache.bytes), `of ${inBytes(cache.limit)}`);
  }

  /** @param {string} name */
  #add(name) {
    const value = element('dd', {});
    const more = element('dd', { class: 'quiet' });
    this.root.append(element('div', {}, element('dt', {}, name), value, more));
    return (/** @type {string} */ text, /** @type {string} */ besides) => {
      write(value, text);
      write(more, besides);
    };
  }
}
