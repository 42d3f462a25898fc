import { byId, element, mark, write } from './dom.js';
import { ImagesView } from './images.js';
import { NodesView } from './nodes.js';
import { NowView } from './now.js';
import { Stream } from './stream.js';
import { after, now } from './time.js';
import { UpstreamsView } from './upstreams.js';

/** How often texts are shown anew that only time changes. */
const tick = 1000;
/** How long is shown what came of something. */
const readable = 10_000;

/** The page: one view at a time, chosen by the hash of the address. */
class Page {
  #stream = new Stream(
    (topic) => this.#changed(topic),
    (connected) => this.#connected(connected),
  );
  #images = new ImagesView((text) => this.#say(text));
  #views;
  #current = 'now';
  #drawing = false;
  #cancelSilence = () => {};

  constructor() {
    this.#views = new Map(
      Object.entries({
        now: { name: 'Now', topics: ['pulls', 'flights', 'status', 'clients'], view: new NowView() },
        nodes: { name: 'Nodes', topics: ['clients'], view: new NodesView() },
        images: { name: 'Images', topics: ['status'], view: this.#images },
        upstreams: { name: 'Upstreams', topics: ['status'], view: new UpstreamsView() },
      }),
    );
    for (const [id, { name, view }] of this.#views) {
      const heading = element('h2', { id: `${id}-title`, tabindex: '-1' }, name);
      view.root.prepend(heading);
      mark(view.root, 'aria-labelledby', heading.id);
      mark(view.root, 'hidden', '');
      byId('content').append(view.root);
    }
  }

  start() {
    addEventListener('hashchange', () => this.#choose(true));
    this.#choose(false);
    this.#stream.open();
    this.#tick();
  }

  /** @param {boolean} moves whether somebody went there: then the focus goes along */
  #choose(moves) {
    const asked = location.hash.slice(1);
    if (asked === 'content') return;
    this.#current = this.#views.has(asked) ? asked : 'now';
    for (const [id, { name, view }] of this.#views) {
      const chosen = id === this.#current;
      mark(view.root, 'hidden', chosen ? undefined : '');
      mark(byId(`to-${id}`), 'aria-current', chosen ? 'page' : undefined);
      if (chosen) document.title = `${name} – Weir`;
    }
    if (this.#current === 'images') this.#images.opened();
    this.#draw();
    if (!moves) return;
    this.#say('');
    byId(`${this.#current}-title`).focus({ preventScroll: true });
  }

  /** @param {string} topic */
  #changed(topic) {
    if (this.#views.get(this.#current)?.topics.includes(topic)) this.#draw();
  }

  /** Once for all changes that come before the next frame. */
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      const time = now() + this.#stream.ahead;
      this.#views.get(this.#current)?.view.show(this.#stream.shown, time - (time % tick));
      const version = this.#stream.shown.status.get('status')?.version;
      if (version !== undefined) write(byId('version'), version);
    });
  }

  /** @param {string} text what came of something that somebody did */
  #say(text) {
    write(byId('said'), text);
    this.#cancelSilence();
    this.#cancelSilence = after(readable, () => write(byId('said'), ''));
  }

  #tick() {
    this.#draw();
    after(tick, () => this.#tick());
  }

  /** @param {boolean} connected */
  #connected(connected) {
    mark(byId('lost'), 'hidden', connected ? '' : undefined);
    mark(byId('link'), 'data-state', connected ? 'live' : 'lost');
    write(byId('link'), connected ? 'Live' : 'Reconnecting…');
  }
}

new Page().start();
