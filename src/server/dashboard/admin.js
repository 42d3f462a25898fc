import { button, element, write } from './dom.js';

/** A change that was refused, or could not be made; the message is for people. */
export class RefusedError extends Error {
  /** @override */
  name = 'RefusedError';
}

/** Makes changes at the mirror. The admin token is asked for when it is needed, and kept only as long as the page is open. */
export class Admin {
  #token = '';
  #dialog;

  /** @param {TokenDialog} dialog */
  constructor(dialog) {
    this.#dialog = dialog;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body] sent as JSON
   * @returns {Promise<Response>} a good answer
   * @throws {RefusedError}
   */
  async call(method, path, body) {
    const response = await this.#send(method, path, body);
    if (response.ok) return response;
    const message = await messageOf(response);
    if (response.status !== 401) throw new RefusedError(message);
    const token = await this.#dialog.ask(this.#token !== '');
    if (token === undefined) throw new RefusedError(message);
    this.#token = token;
    return this.call(method, path, body);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} body
   */
  async #send(method, path, body) {
    /** @type {Record<string, string>} */
    const headers = this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    try {
      return await fetch(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    } catch {
      throw new RefusedError('the mirror does not answer');
    }
  }
}

/** @param {Response} response */
async function messageOf(response) {
  try {
    const { errors } = await response.json();
    return String(errors[0].message ?? errors[0].code);
  } catch {
    return `the mirror answered ${response.status}`;
  }
}

/** Asks for the admin token. */
export class TokenDialog {
  #input = element('input', { type: 'password', id: 'token', autocomplete: 'off', required: '' });
  #why = element('p', {});
  #form = element('form', {});
  root = element('dialog', { 'aria-labelledby': 'token-title' }, this.#form);

  constructor() {
    const title = element('h2', { id: 'token-title' }, 'Admin token');
    const cancel = button('Cancel', () => this.root.close(''));
    const go = element('button', { type: 'submit', class: 'primary' }, 'Go on');
    const label = element('label', { for: 'token' }, 'Token ', this.#input);
    this.#form.append(title, this.#why, label, element('p', { class: 'buttons' }, cancel, go));
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.root.close(this.#input.value);
    });
  }

  /**
   * @param {boolean} again whether one was given that is not good
   * @returns {Promise<string | undefined>} `undefined`: none was given
   */
  ask(again) {
    write(
      this.#why,
      again ? 'That token was not accepted.' : 'Changes need the admin token. It is kept until this page is closed.',
    );
    this.#input.value = '';
    this.root.returnValue = '';
    this.root.showModal();
    return new Promise((resolve) => {
      this.root.addEventListener('close', () => resolve(this.root.returnValue || undefined), { once: true });
    });
  }
}
