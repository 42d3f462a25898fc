/** @import { FlightView } from '../../cache/flight-view.ts' */
/** @import { PullView } from '../../pulls/pull-view.ts' */
/** @import { ShownLayer } from './layer-row.js' */
import { element, mark, write } from './dom.js';
import { LayerRow } from './layer-row.js';
import { KeyedList } from './list.js';
import { drawPart } from './strip.js';
import { inBytes, inNumber, inPast, inTime, runtimeName, watchdogName } from './words.js';

/** @typedef {{ readonly pull: PullView, readonly flights: ReadonlyMap<string, FlightView> }} ShownPull */

const outcomes = new Map([
  ['complete', 'Complete'],
  ['partial', 'Complete, some layers were there'],
  ['aborted', 'Left by the node'],
  ['failed', 'Failed'],
]);
/** Parts of the limit from which on a silence is worth a look, and is dangerous. */
const [noteworthy, dangerous] = [0.5, 0.8];

/** One pull: who, what, how silent it was, and its layers in the order in which the node unpacks them. */
export class PullCard {
  root = element('li', { class: 'card pull' });
  #image = element('h3', {});
  #client = element('p', { class: 'quiet' });
  #badges = element('p', { class: 'badges' });
  #outcome = element('span', { class: 'badge' });
  #saved = element('span', { class: 'badge', 'data-kind': 'good', hidden: '' }, 'Saved');
  #killed = element('span', { class: 'badge', 'data-kind': 'bad', hidden: '' }, 'Suspected kill');
  #silence = new SilenceMeter();
  #layerList = element('ol', { class: 'layers' });
  #summary = element('summary', {});
  #details = element('details', {}, this.#summary);
  /** @type {KeyedList<ShownLayer>} */
  #layers = new KeyedList(this.#layerList, () => new LayerRow());
  /** Whether it was open for as long as it ran, until somebody decides otherwise. */
  #running = false;

  constructor() {
    this.#badges.append(this.#outcome, this.#saved, this.#killed);
    this.#details.append(this.#layerList, this.#layers.more);
    const head = element('div', { class: 'head' }, element('div', {}, this.#image, this.#client), this.#badges);
    this.root.append(head, this.#silence.root, this.#details);
    this.#details.addEventListener('toggle', () => this.#showLayers());
  }

  /** @type {{ shown: ShownPull, now: number } | undefined} */
  #last;

  /**
   * @param {ShownPull} shown
   * @param {number} now
   */
  show(shown, now) {
    const { pull } = shown;
    const running = pull.outcome === undefined;
    this.#last = { shown, now };
    write(this.#image, pull.image);
    const watchdog = pull.watchdog === 'none' ? 'no watchdog' : `watchdog: ${watchdogName(pull.watchdog)}`;
    write(this.#client, `${pull.client} · ${runtimeName(pull.runtime, pull.version)} · ${watchdog}`);
    write(this.#outcome, outcomeOf(pull, now));
    mark(this.#outcome, 'data-kind', running ? 'live' : pull.outcome === 'failed' ? 'bad' : undefined);
    mark(this.#outcome, 'title', `Began ${inPast(ageOf(pull, now))}`);
    mark(this.#saved, 'hidden', pull.saved ? undefined : '');
    mark(this.#killed, 'hidden', pull.suspectedKill ? undefined : '');
    this.#silence.show(pull);
    write(this.#summary, summaryOf(pull));
    if (running !== this.#running) this.#details.open = running;
    this.#running = running;
    this.#showLayers();
  }

  #showLayers() {
    if (!this.#details.open || this.#last === undefined) return;
    const { shown, now } = this.#last;
    const running = shown.pull.outcome === undefined;
    const entries = shown.pull.layers.map((layer, index) => {
      const flight = running ? shown.flights.get(layer.digest) : undefined;
      return /** @type {const} */ ([String(index), { layer, index, flight, running }]);
    });
    this.#layers.show(entries, now);
  }
}

/**
 * @param {PullView} pull
 * @param {number} now
 */
function ageOf({ startedAt }, now) {
  return Math.max(1000, now - Date.parse(startedAt ?? ''));
}

/**
 * @param {PullView} pull
 * @param {number} now
 */
function outcomeOf(pull, now) {
  const { layers, outcome } = pull;
  if (outcome !== undefined) return outcomes.get(outcome) ?? outcome;
  const open = layers.some(({ state }) => state === 'requested' || state === 'sending');
  return open ? `Running for ${inTime(ageOf(pull, now))}` : 'Waiting for the node to ask for more';
}

/** @param {PullView} pull */
function summaryOf({ layers, drips, holds }) {
  const size = layers.reduce((sum, layer) => sum + layer.size, 0);
  const sent = layers.reduce((sum, layer) => sum + (layer.state === 'not requested' ? 0 : layer.sent), 0);
  const done = layers.filter(({ state }) => state === 'delivered').length;
  const told = [`${done} of ${inNumber(layers.length, 'layer')} delivered`, `${inBytes(sent)} of ${inBytes(size)}`];
  if (drips > 0) told.push(inNumber(drips, 'drip'));
  if (holds > 0) told.push(inNumber(holds, 'hold'));
  return told.join(' · ');
}

/** The longest silence of a pull, against what its node bears. */
class SilenceMeter {
  #text = element('span', {});
  #part = element('div', {});
  #meter = element(
    'div',
    { class: 'meter', role: 'meter', 'aria-valuemin': '0', 'aria-label': 'Longest silence' },
    this.#part,
  );
  root = element('div', { class: 'silence' }, this.#text, this.#meter);

  /** @param {PullView} pull */
  show({ longestGap, timeout }) {
    const limit = timeout === undefined ? 'no limit' : `gives up at ${inTime(timeout)}`;
    write(this.#text, `Longest silence ${inTime(longestGap)} · ${limit}`);
    mark(this.#meter, 'hidden', timeout === undefined ? '' : undefined);
    if (timeout === undefined) return;
    drawPart(this.#part, longestGap, timeout);
    const kind = longestGap >= dangerous * timeout ? 'bad' : longestGap >= noteworthy * timeout ? 'warn' : 'good';
    mark(this.#meter, 'data-kind', kind);
    mark(this.#meter, 'aria-valuemax', String(timeout / 1000));
    mark(this.#meter, 'aria-valuenow', String(Math.min(longestGap, timeout) / 1000));
    mark(this.#meter, 'aria-valuetext', `${inTime(longestGap)} of ${inTime(timeout)}`);
  }
}
