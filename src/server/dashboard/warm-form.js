/** @import { Admin } from './admin.js' */
import { RefusedError } from './admin.js';
import { element, mark, write } from './dom.js';
import { drawPart } from './strip.js';
import { inBytes, inNumber } from './words.js';

/**
 * What is told while an image comes, a line each.
 * @typedef {{ readonly digest?: string, readonly size?: number, readonly held?: number, readonly error?: string, readonly complete?: boolean }} Told
 */

/** Brings an image before a node asks for it. */
export class WarmForm {
  #admin;
  #done;
  #input = element('input', {
    id: 'warm',
    autocomplete: 'off',
    spellcheck: 'false',
    required: '',
    placeholder: 'docker.io/library/busybox:1.36',
  });
  #button = element('button', { type: 'submit', class: 'primary' }, 'Bring');
  #text = element('span', { role: 'status' });
  #part = element('div', {});
  #meter = element('div', { class: 'meter', 'aria-hidden': 'true' }, this.#part);
  #progress = element('div', { class: 'progress', hidden: '' }, this.#text, this.#meter);
  root = element('form', { class: 'warm' });

  /**
   * @param {Admin} admin
   * @param {(text: string) => Promise<void>} done
   */
  constructor(admin, done) {
    this.#admin = admin;
    this.#done = done;
    const label = element('label', { for: 'warm', class: 'search' }, 'Bring an image ', this.#input);
    this.root.append(element('div', { class: 'bar-row' }, label, this.#button), this.#progress);
    this.root.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.bring(this.#input.value.trim());
    });
  }

  /**
   * Brings an image with all its platforms; tells how that goes, and what came of it.
   * @param {string} image
   */
  async bring(image) {
    this.#button.disabled = true;
    mark(this.#progress, 'hidden', undefined);
    write(this.#text, `${image}: asking for it…`);
    drawPart(this.#part, 0, 1);
    try {
      const response = await this.#admin.call('POST', 'api/warm', { images: [image] });
      const failure = await this.#follow(image, linesOf(response));
      await this.#end(image, failure === undefined ? `${image} is here.` : `${image} is not all here: ${failure}.`);
    } catch (error) {
      await this.#end(
        image,
        `${image} was not brought: ${error instanceof RefusedError ? error.message : 'the connection broke'}.`,
      );
    } finally {
      this.#button.disabled = false;
    }
  }

  /**
   * @param {string} image
   * @param {AsyncIterable<Told>} lines
   * @returns {Promise<string | undefined>} why it is not complete
   */
  async #follow(image, lines) {
    /** @type {Map<string, Told>} */
    const blobs = new Map();
    let failure = /** @type {string | undefined} */ ('the connection broke');
    for await (const line of lines) {
      if (line.error !== undefined) failure = line.error;
      if (line.complete === true) failure = undefined;
      if (line.digest !== undefined && line.size !== undefined) blobs.set(line.digest, line);
      const sum = (/** @type {'size' | 'held'} */ what) =>
        [...blobs.values()].reduce((total, blob) => total + (blob[what] ?? 0), 0);
      write(
        this.#text,
        `${image}: ${inBytes(sum('held'))} of ${inBytes(sum('size'))} in ${inNumber(blobs.size, 'blob')}`,
      );
      drawPart(this.#part, sum('held'), Math.max(1, sum('size')));
    }
    return failure;
  }

  /**
   * @param {string} image
   * @param {string} text
   */
  async #end(image, text) {
    mark(this.#progress, 'hidden', '');
    if (this.#input.value.trim() === image) this.#input.value = '';
    await this.#done(text);
  }
}

/**
 * @param {Response} response JSON, a value a line
 * @returns {AsyncGenerator<Told>}
 */
async function* linesOf({ body }) {
  if (body === null) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    const lines = (rest + value).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line);
  }
}
