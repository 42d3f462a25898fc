import { button, element, mark, write } from './dom.js';

/**
 * What shows one item.
 * @template T
 * @typedef {{ readonly root: HTMLElement, show(item: T, now: number): void }} Row
 */

/** Rows that are shown before somebody asks for more. */
const pageLength = 50;

/**
 * A list that shows items by their keys: a row stays the same element while its item is there, and so keeps the focus and
 * what is open. Long lists are shown in part, until somebody asks for more.
 * @template T
 */
export class KeyedList {
  #parent;
  #make;
  /** @type {Map<string, { row: Row<T>, item: T }>} */
  #rows = new Map();
  #more;
  #shown = pageLength;
  /** @type {readonly (readonly [string, T])[]} */
  #entries = [];

  /**
   * @param {HTMLElement} parent what the rows stand in
   * @param {() => Row<T>} make
   */
  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
    const more = button('', () => {
      this.#shown += pageLength;
      this.show(this.#entries, this.#now);
    });
    this.#more = { root: element('p', { class: 'more', hidden: '' }, more), button: more };
  }

  #now = 0;

  /** Stands after the list: asks for more. */
  get more() {
    return this.#more.root;
  }

  /** From the beginning again. */
  rewind() {
    this.#shown = pageLength;
  }

  /**
   * @param {readonly (readonly [string, T])[]} entries
   * @param {number} now what has not changed is shown anew when this is another time
   */
  show(entries, now) {
    const anew = now !== this.#now;
    this.#entries = entries;
    this.#now = now;
    const visible = entries.slice(0, this.#shown);
    const keys = new Set(visible.map(([key]) => key));
    for (const [key, { row }] of this.#rows) {
      if (keys.has(key)) continue;
      row.root.remove();
      this.#rows.delete(key);
    }
    let next = this.#parent.firstElementChild;
    for (const [key, item] of visible) {
      const { root } = this.#showRow(key, item, anew);
      if (root === next) next = root.nextElementSibling;
      else this.#place(root, next);
    }
    const left = entries.length - visible.length;
    mark(this.#more.root, 'hidden', left > 0 ? undefined : '');
    write(this.#more.button, `Show ${Math.min(left, pageLength)} more of ${left}`);
  }

  /**
   * @param {string} key
   * @param {T} item
   * @param {boolean} anew
   * @returns {Row<T>}
   */
  #showRow(key, item, anew) {
    const known = this.#rows.get(key);
    if (known === undefined) {
      const row = this.#make();
      row.show(item, this.#now);
      this.#rows.set(key, { row, item });
      return row;
    }
    if (anew || known.item !== item) known.row.show(item, this.#now);
    known.item = item;
    return known.row;
  }

  /**
   * What moves would lose the focus.
   * @param {HTMLElement} root
   * @param {Element | null} next
   */
  #place(root, next) {
    const focused = document.activeElement;
    this.#parent.insertBefore(root, next);
    if (focused instanceof HTMLElement && root.contains(focused)) focused.focus({ preventScroll: true });
  }
}
