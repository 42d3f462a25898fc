/** @import { FlightView } from '../../cache/flight-view.ts' */
/** @import { Shown } from './stream.js' */
/** @import { ShownPull } from './pull-card.js' */
import { element, mark, write } from './dom.js';
import { KeyedList } from './list.js';
import { PullCard } from './pull-card.js';
import { drawStrip } from './strip.js';
import { Tiles } from './tiles.js';
import { inBytes, inNumber, inTime, shortDigest } from './words.js';

/** What runs now: pulls, and the blobs that arrive for them. */
export class NowView {
  root = element('section', { class: 'view' });
  #tiles = new Tiles();
  #running = new PullList('Running', 'Nothing is being pulled right now.');
  #lately = new PullList(
    'Lately',
    'Nothing has been pulled yet. On a node, point the container runtime here: “weir client-config crio” prints the files for CRI-O; it knows podman, containerd, docker, k3s and openshift, too.',
  );
  #flightList = element('ul', { class: 'flights' });
  #flights = new KeyedList(this.#flightList, () => new FlightRow());
  #noFlights = element('p', { class: 'empty' }, 'No blob is arriving: what is asked for is served from disk.');

  constructor() {
    const legend = element(
      'p',
      { class: 'legend' },
      ...['sent', 'held', 'upstream', 'unpacking'].map((kind) =>
        element('span', { 'data-kind': kind }, legendOf(kind)),
      ),
    );
    this.root.append(this.#tiles.root, legend, ...this.#running.parts);
    this.root.append(element('h3', { class: 'title' }, 'Arriving from upstream'), this.#noFlights, this.#flightList);
    this.root.append(this.#flights.more, ...this.#lately.parts);
  }

  /**
   * @param {Shown} shown
   * @param {number} now
   */
  show(shown, now) {
    const flights = new Map([...shown.flights.values()].map((flight) => [flight.digest, flight]));
    const pulls = [...shown.pulls].toSorted(([, a], [, b]) => b.id - a.id);
    const of = (/** @type {boolean} */ running) =>
      pulls.filter(([, { outcome }]) => (outcome === undefined) === running);
    this.#tiles.show(shown);
    this.#running.show(of(true), flights, now);
    this.#lately.show(of(false), flights, now);
    this.#flights.show([...shown.flights], now);
    mark(this.#noFlights, 'hidden', shown.flights.size === 0 ? undefined : '');
  }
}

/** @param {string} kind */
function legendOf(kind) {
  const known = new Map([
    ['sent', 'Sent to the node'],
    ['held', 'On disk'],
    ['upstream', 'Dripping: the upstream is silent'],
    ['unpacking', 'Held: the node unpacks'],
  ]);
  return known.get(kind) ?? kind;
}

/** Pulls under a title. */
class PullList {
  #list = element('ul', { class: 'pulls' });
  /** @type {KeyedList<ShownPull>} */
  #cards = new KeyedList(this.#list, () => new PullCard());
  #empty;
  /** @type {readonly HTMLElement[]} */
  parts;
  /** @type {ReadonlyMap<string, ShownPull>} */
  #shown = new Map();

  /**
   * @param {string} title
   * @param {string} empty what is said where there is none
   */
  constructor(title, empty) {
    this.#empty = element('p', { class: 'empty' }, empty);
    this.parts = [element('h3', { class: 'title' }, title), this.#empty, this.#list, this.#cards.more];
  }

  /**
   * @param {readonly (readonly [string, ShownPull['pull']])[]} pulls
   * @param {ReadonlyMap<string, FlightView>} flights
   * @param {number} now
   */
  show(pulls, flights, now) {
    const shown = new Map(
      pulls.map(([key, pull]) => {
        const known = this.#shown.get(key);
        // Over and unchanged: it is the same as before, whatever arrives for others.
        return [key, known?.pull === pull && pull.outcome !== undefined ? known : { pull, flights }];
      }),
    );
    this.#shown = shown;
    this.#cards.show([...shown], now);
    mark(this.#empty, 'hidden', pulls.length === 0 ? undefined : '');
  }
}

/** One blob that arrives. */
class FlightRow {
  root = element('li', { class: 'flight' });
  #digest = element('code', {});
  #from = element('span', { class: 'quiet' });
  #strip = element('div', { class: 'held' });
  #bar = element('div', { class: 'bar', role: 'img' }, this.#strip);
  #amount = element('span', { class: 'amount' });
  #rate = element('span', { class: 'quiet' });

  constructor() {
    this.root.append(this.#digest, this.#from, this.#bar, this.#amount, this.#rate);
  }

  /** @param {FlightView} flight */
  show({ upstream, digest, size, held, rate, readers, endpoint, attempts }) {
    const bytes = held.reduce((sum, [start, end]) => sum + end - start, 0);
    write(this.#digest, shortDigest(digest));
    mark(this.#digest, 'title', digest);
    write(
      this.#from,
      endpoint === null || endpoint === `https://${upstream}`
        ? upstream
        : `${upstream} by ${endpoint.replace(/^https?:\/\//, '')}`,
    );
    drawStrip(this.#strip, size === null ? [] : held, size ?? 0);
    write(this.#amount, size === null ? inBytes(bytes) : `${inBytes(bytes)} of ${inBytes(size)}`);
    const left = size !== null && rate > 0 && bytes < size ? ` · ${inTime(((size - bytes) * 1000) / rate)} left` : '';
    write(this.#rate, `${inBytes(rate)}/s${left} · ${inNumber(readers, 'reader')} · ${inNumber(attempts, 'request')}`);
    mark(this.#bar, 'aria-label', `${this.#amount.textContent} there, in ${inNumber(held.length, 'piece')}`);
  }
}
