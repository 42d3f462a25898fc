/** @import { ImageView } from '../../cache/images.ts' */
import { button, element, mark, write } from './dom.js';
import { drawPart } from './strip.js';
import { inBytes, inPast, shortDigest } from './words.js';

/** @typedef {{ pin(image: ImageView): Promise<void>, warm(image: ImageView): Promise<void>, remove(image: ImageView): Promise<void> }} Actions */

/**
 * What an image is called by those who pull it.
 * @param {ImageView} image
 */
export function nameOf({ upstream, repository, tag, digest }) {
  return `${upstream}/${repository}${tag === null ? `@${digest}` : `:${tag}`}`;
}

/** One image that is kept, and what can be done with it. */
export class ImageRow {
  root = element('li', { class: 'image' });
  #name = element('span', { class: 'name' });
  #digest = element('code', {});
  #pinned = element('span', { class: 'badge', 'data-kind': 'live', hidden: '' }, 'Pinned');
  #held = element('div', {});
  #bar = element('div', { class: 'meter', 'aria-hidden': 'true' }, this.#held);
  #size = element('span', { class: 'amount' });
  #used = element('span', { class: 'quiet used' });
  #pin;
  #warm;
  #remove;
  #sure = false;
  /** @type {ImageView | undefined} */
  #image;

  /** @param {Actions} actions */
  constructor(actions) {
    this.#pin = button('Pin', () => this.#do(actions.pin));
    this.#warm = button('Fetch the rest', () => this.#do(actions.warm));
    this.#remove = button('Remove', () => this.#askOrDo(actions.remove));
    this.#remove.addEventListener('blur', () => this.#ask(false));
    const title = element('p', { class: 'title-row' }, this.#name, this.#pinned);
    const figures = element('p', { class: 'figures-row' }, this.#digest, this.#size, this.#used);
    const buttons = element('p', { class: 'buttons' }, this.#warm, this.#pin, this.#remove);
    this.root.append(title, figures, this.#bar, buttons);
  }

  /**
   * @param {ImageView} image
   * @param {number} now
   */
  show(image, now) {
    const name = nameOf(image);
    const changed = this.#image !== image;
    this.#image = image;
    write(this.#name, image.tag === null ? name.slice(0, name.indexOf('@')) : name);
    mark(this.#pinned, 'hidden', image.pinned ? undefined : '');
    this.#showFigures(image, now);
    this.#showButtons(image, name);
    if (changed) this.#ask(false);
  }

  /**
   * What is pinned before it is here has no figures yet.
   * @param {ImageView} image
   * @param {number} now
   */
  #showFigures({ digest, held, size, complete, usedAt }, now) {
    for (const each of [this.#digest, this.#size]) mark(each, 'hidden', digest === null ? '' : undefined);
    write(this.#digest, digest === null ? '' : shortDigest(digest));
    mark(this.#digest, 'title', digest ?? '');
    write(this.#size, complete ? inBytes(size) : `${inBytes(held)} of ${inBytes(size)}`);
    write(this.#used, usedAt === null ? 'nothing of it is here' : `used ${inPast(now - usedAt)}`);
    mark(this.#bar, 'hidden', complete || digest === null ? '' : undefined);
    drawPart(this.#held, held, size);
  }

  /**
   * @param {ImageView} image
   * @param {string} name
   */
  #showButtons({ digest, complete, pinned }, name) {
    mark(this.#warm, 'hidden', complete ? '' : undefined);
    write(this.#warm, digest === null ? 'Fetch' : 'Fetch the rest');
    mark(this.#warm, 'aria-label', `${digest === null ? 'Fetch' : 'Fetch the rest of'} ${name}`);
    write(this.#pin, pinned ? 'Unpin' : 'Pin');
    mark(this.#pin, 'aria-label', `${pinned ? 'Unpin' : 'Pin'} ${name}`);
    this.#remove.disabled = pinned;
    mark(this.#remove, 'title', pinned ? 'What is pinned stays: unpin it first' : undefined);
  }

  /** @param {(image: ImageView) => Promise<void>} action */
  #do(action) {
    if (this.#image) void action(this.#image);
  }

  /**
   * Nothing is removed at the first press.
   * @param {(image: ImageView) => Promise<void>} action
   */
  #askOrDo(action) {
    if (this.#sure) this.#do(action);
    this.#ask(!this.#sure);
  }

  /** @param {boolean} sure */
  #ask(sure) {
    this.#sure = sure;
    write(this.#remove, sure ? 'Really remove?' : 'Remove');
    mark(this.#remove, 'data-kind', sure ? 'bad' : undefined);
    if (this.#image) mark(this.#remove, 'aria-label', `${sure ? 'Really remove' : 'Remove'} ${nameOf(this.#image)}`);
  }
}
