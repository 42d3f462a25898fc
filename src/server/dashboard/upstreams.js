/** @import { StatusView } from '../status.ts' */
/** @import { Shown } from './stream.js' */
import { element, mark, write } from './dom.js';
import { KeyedList } from './list.js';
import { inBytes, inNumber, inTime } from './words.js';

/** @typedef {StatusView['upstreams'][number]} UpstreamView */

const states = new Map([
  ['up', ['Up', 'good']],
  ['unknown', ['Not asked yet', '']],
  ['failing', ['Failing', 'bad']],
  ['limited', ['Limited', 'warn']],
]);

/** How the upstreams do: those first that need a look. */
export class UpstreamsView {
  root = element('section', { class: 'view' });
  #list = element('ul', { class: 'cards' });
  #cards = new KeyedList(this.#list, () => new UpstreamCard());
  #empty = element('p', { class: 'empty' }, 'No upstream is configured.');

  constructor() {
    this.root.append(this.#empty, this.#list, this.#cards.more);
  }

  /**
   * @param {Shown} shown
   * @param {number} now
   */
  show({ status }, now) {
    const order = ['failing', 'limited', 'up', 'unknown'];
    const upstreams = (status.get('status')?.upstreams ?? []).toSorted(
      (a, b) => order.indexOf(a.state) - order.indexOf(b.state) || b.bytes - a.bytes,
    );
    mark(this.#empty, 'hidden', status.size === 0 || upstreams.length > 0 ? '' : undefined);
    this.#cards.show(
      upstreams.map((upstream) => [upstream.name, upstream]),
      now,
    );
  }
}

class UpstreamCard {
  root = element('li', { class: 'card upstream' });
  #name = element('h3', {});
  #state = element('span', { class: 'badge' });
  #bytes = element('dd', {});
  #repairs = element('dd', {});
  #left = element('dd', {});
  #figures = element('dl', { class: 'figures' });
  #list = element('ul', { class: 'endpoints' });
  /** @type {KeyedList<{ text: string, kind: string | undefined }>} */
  #lines = new KeyedList(this.#list, () => new Line());

  constructor() {
    const figure = (/** @type {string} */ name, /** @type {HTMLElement} */ value) =>
      element('div', {}, element('dt', {}, name), value);
    this.#figures.append(figure('Received', this.#bytes), figure('Repairs', this.#repairs));
    this.#figures.append(figure('Rate limit left', this.#left));
    this.root.append(element('div', { class: 'head' }, this.#name, this.#state), this.#figures, this.#list);
  }

  /**
   * @param {UpstreamView} upstream
   * @param {number} now
   */
  show({ name, state, bytes, repairs, rateLimitRemaining, endpoints, circuits }, now) {
    const [text = state, kind] = states.get(state) ?? [];
    write(this.#name, name);
    write(this.#state, text);
    mark(this.#state, 'data-kind', kind);
    mark(this.#figures, 'hidden', state === 'unknown' ? '' : undefined);
    write(this.#bytes, inBytes(bytes));
    write(this.#repairs, repairs.toLocaleString('en'));
    write(this.#left, rateLimitRemaining === null ? '–' : inNumber(rateLimitRemaining, 'manifest'));
    // Of the only endpoint, all is said already while nothing is wrong with it.
    const plain = endpoints.length === 1 && state !== 'failing' && endpoints[0]?.state !== 'failing';
    const lines = [
      ...circuits.map((each) => [`circuit ${each.endpoint} ${each.kind} ${each.login}`, circuitLine(each, now)]),
      ...(plain ? [] : endpoints.map((each) => [each.endpoint, endpointLine(each)])),
    ];
    this.#lines.show(/** @type {[string, { text: string, kind: string | undefined }][]} */ (lines), now);
  }
}

/**
 * @param {UpstreamView['circuits'][number]} circuit
 * @param {number} now
 */
function circuitLine({ endpoint, kind, login, state, reopensAt }, now) {
  const left = Date.parse(reopensAt) - now;
  const until =
    state === 'half-open' || left <= 0 ? 'the next request tries whether it is over' : `asked again in ${inTime(left)}`;
  const whose = login === 'anonymous' ? 'without a login' : 'with our login';
  return { text: `Limit on ${kind} requests at ${hostOf(endpoint)}, ${whose}: ${until}`, kind: 'warn' };
}

/** @param {UpstreamView['endpoints'][number]} endpoint */
function endpointLine({ endpoint, state, failures, passedOverMs }) {
  if (state !== 'failing')
    return { text: `${hostOf(endpoint)}: ${state === 'up' ? 'up' : 'not asked yet'}`, kind: undefined };
  const passed = passedOverMs > 0 ? `, passed over for ${inTime(passedOverMs)}` : '';
  return { text: `${hostOf(endpoint)}: ${inNumber(failures, 'failure')} in a row${passed}`, kind: 'bad' };
}

/** @param {string} url */
function hostOf(url) {
  return url.replace(/^https:\/\//, '');
}

class Line {
  root = element('li', {});

  /** @param {{ text: string, kind: string | undefined }} line */
  show({ text, kind }) {
    write(this.root, text);
    mark(this.root, 'data-kind', kind);
  }
}
