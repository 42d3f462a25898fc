/** @import { ImageView } from '../../cache/images.ts' */
/** @import { Shown } from './stream.js' */
import { Admin, RefusedError, TokenDialog } from './admin.js';
import { button, element, mark, write } from './dom.js';
import { ImageRow, nameOf } from './image-row.js';
import { KeyedList } from './list.js';
import { now as timeNow } from './time.js';
import { WarmForm } from './warm-form.js';
import { inBytes, inNumber } from './words.js';

/** Milliseconds for which a list is good enough, though the cache has changed since. */
const freshFor = 15_000;

/** What is kept. */
export class ImagesView {
  root = element('section', { class: 'view' });
  #say;
  #token = new TokenDialog();
  #admin = new Admin(this.#token);
  #search = element('input', {
    type: 'search',
    id: 'image-search',
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: 'Part of a name, or “pinned”',
  });
  #count = element('p', { class: 'quiet', role: 'status' });
  #empty = element('p', { class: 'empty' }, 'No image is kept yet. What a node pulls will be listed here.');
  #list = element('ul', { class: 'images' });
  /** @type {KeyedList<ImageView>} */
  #rows;
  #warm;
  /** @type {readonly ImageView[] | undefined} */
  #images;
  /** @type {number | undefined} */
  #bytes;
  #askedAt = 0;

  /** @param {(text: string) => void} say tells what came of something that somebody did */
  constructor(say) {
    this.#say = say;
    const actions = {
      pin: (/** @type {ImageView} */ image) => this.#pin(image),
      warm: (/** @type {ImageView} */ image) => this.#warm.bring(nameOf(image)),
      remove: (/** @type {ImageView} */ image) => this.#remove(image),
    };
    this.#rows = new KeyedList(this.#list, () => new ImageRow(actions));
    this.#warm = new WarmForm(this.#admin, (text) => this.#done(text));
    const search = element('label', { for: 'image-search', class: 'search' }, 'Search images ', this.#search);
    const refresh = button('Refresh', () => void this.#load());
    this.root.append(this.#warm.root, element('div', { class: 'bar-row' }, search, this.#count, refresh));
    this.root.append(this.#empty, this.#list, this.#rows.more, this.#token.root);
    this.#search.addEventListener('input', () => {
      this.#rows.rewind();
      this.#draw();
    });
  }

  /** Somebody looks at it. */
  opened() {
    void this.#load();
  }

  /**
   * @param {Shown} shown
   * @param {number} now
   */
  show({ status }, now) {
    const bytes = status.get('status')?.cache.bytes;
    const changed = bytes !== this.#bytes;
    if (changed && now - this.#askedAt > freshFor) void this.#load();
    this.#bytes = changed && now - this.#askedAt <= freshFor ? this.#bytes : bytes;
  }

  async #load() {
    this.#askedAt = timeNow();
    try {
      const response = await this.#admin.call('GET', 'api/images');
      this.#images = await response.json();
      this.#draw();
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      this.#say(`The images could not be read: ${error.message}.`);
    }
  }

  #draw() {
    const all = this.#images;
    if (all === undefined) return;
    const words = this.#search.value.trim().toLowerCase().split(/\s+/);
    const found = all.filter((image) => {
      const text = `${nameOf(image)} ${image.digest ?? ''} ${image.pinned ? 'pinned' : ''}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const sorted = found.toSorted((a, b) => (b.usedAt ?? 0) - (a.usedAt ?? 0));
    const held = found.reduce((sum, image) => sum + image.held, 0);
    const count = `${inNumber(found.length, 'image')}${found.length < all.length ? ` of ${all.length}` : ''}`;
    write(
      this.#count,
      found.length === 0
        ? all.length === 0
          ? ''
          : 'Nothing is called that'
        : `${count}, ${inBytes(held)}; what images share is counted for each`,
    );
    mark(this.#empty, 'hidden', all.length === 0 ? undefined : '');
    this.#rows.show(
      sorted.map((image) => [`${nameOf(image)} ${image.digest}`, image]),
      timeNow(),
    );
  }

  /** @param {ImageView} image */
  async #pin(image) {
    const name = nameOf(image);
    const call = image.pinned
      ? () => this.#admin.call('DELETE', `api/pins/${inPath(name)}`)
      : () => this.#admin.call('POST', 'api/pins', { image: name });
    await this.#try(call, `${name} is ${image.pinned ? 'no longer pinned' : 'pinned'}.`);
  }

  /** @param {ImageView} image */
  async #remove(image) {
    const name = nameOf(image);
    await this.#try(() => this.#admin.call('DELETE', `api/images/${inPath(name)}`), `${name} is removed.`);
    // The button that was pressed is gone: whoever goes on by keyboard goes on from here.
    if (document.activeElement === document.body) this.#search.focus();
  }

  /**
   * @param {() => Promise<unknown>} call
   * @param {string} done
   */
  async #try(call, done) {
    try {
      await call();
      await this.#done(done);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      this.#say(`That was not done: ${error.message}.`);
    }
  }

  /** @param {string} text */
  async #done(text) {
    this.#say(text);
    await this.#load();
  }
}

/** @param {string} name */
function inPath(name) {
  return name.split('/').map(encodeURIComponent).join('/');
}
