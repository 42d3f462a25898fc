/** @import { FlightView } from '../../cache/flight-view.ts' */
/** @import { PullView } from '../../pulls/pull-view.ts' */
import { element, mark, write } from './dom.js';
import { drawPart, drawStrip } from './strip.js';
import { inBytes, inTime, shortDigest } from './words.js';

/** @typedef {PullView['layers'][number]} LayerView */
/** @typedef {{ readonly layer: LayerView, readonly index: number, readonly flight: FlightView | undefined, readonly running: boolean }} ShownLayer */

const states = new Map([
  ['not requested', 'Not asked for'],
  ['requested', 'Asked for'],
  ['sending', 'Sending'],
  ['delivered', 'Delivered'],
  ['aborted', 'Left by the node'],
  ['failed', 'Failed'],
]);

/** One layer of a pull: what of it is on disk, how much is sent, and what it waits for. */
export class LayerRow {
  root = element('li', { class: 'layer' });
  #number = element('span', { class: 'number' });
  #digest = element('code', {});
  #held = element('div', { class: 'held' });
  #sent = element('div', { class: 'sent' });
  #bar = element('div', { class: 'bar', role: 'img' }, this.#held, this.#sent);
  #amount = element('span', { class: 'amount' });
  #state = element('span', { class: 'state' });

  constructor() {
    this.root.append(this.#number, this.#digest, this.#bar, this.#amount, this.#state);
  }

  /** @param {ShownLayer} shown */
  show({ layer, index, flight, running }) {
    const { digest, size, sent, state, waitsFor } = layer;
    const held = running ? (layer.held ?? 0) : 0;
    write(this.#number, String(index + 1));
    write(this.#digest, shortDigest(digest));
    mark(this.#digest, 'title', digest);
    drawStrip(this.#held, flight && flight.size === size ? flight.held : held > 0 ? [[0, held]] : [], size);
    drawPart(this.#sent, state === 'not requested' ? 0 : sent, size);
    const sentText = sent > 0 || state === 'delivered' ? `${inBytes(sent)} of ${inBytes(size)}` : inBytes(size);
    write(this.#amount, sentText);
    write(this.#state, stateOf(layer));
    mark(this.root, 'data-state', waitsFor ?? state);
    mark(
      this.#bar,
      'aria-label',
      `${inBytes(sent)} of ${inBytes(size)} sent${running ? `, ${inBytes(held)} on disk` : ''}`,
    );
  }
}

/** @param {LayerView} layer */
function stateOf({ state, waitsFor, heldFor, held = 0, size }) {
  if (waitsFor === 'upstream') return 'Dripping: the upstream is silent';
  if (waitsFor === 'unpacking') {
    return `Held while the node unpacks${heldFor === undefined ? '' : `: ${inTime(heldFor)}`}`;
  }
  if (state === 'not requested' && held > 0)
    return held >= size ? 'Not asked for, on disk' : 'Coming ahead of the node';
  return states.get(state) ?? state;
}
