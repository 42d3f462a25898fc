/** @import { ClientView } from '../../pulls/clients.ts' */
/** @import { Shown } from './stream.js' */
import { element, mark, write } from './dom.js';
import { KeyedList } from './list.js';
import { runtimeName, watchdogName } from './words.js';

/** @typedef {{ readonly runtime: string, readonly version: string, readonly watchdog: string, nodes: number, pulls: number, savedPulls: number, suspectedKills: number }} Kind */

/** Columns whose cells are no numbers. */
const texts = new Set(['Node', 'Runtime', 'Watchdog']);
/** Watchdogs that cancel pulls, unless somebody has configured them not to. */
const biting = new Set(['fixed10', 'configurable10']);

/** Nodes that were seen: first those whose watchdog can cancel a pull. */
export class NodesView {
  root = element('section', { class: 'view' });
  #lead = element('p', { class: 'lead' });
  #kinds = new Table(
    ['Runtime', 'Watchdog', 'Nodes', 'Pulls', 'Saved', 'Suspected kills'],
    'Runtimes and versions seen',
  );
  #nodes = new Table(['Node', 'Runtime', 'Watchdog', 'Pulls', 'Saved', 'Suspected kills'], 'Nodes seen');
  #search = element('input', {
    type: 'search',
    id: 'node-search',
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: 'Address or runtime',
  });
  #empty = element('p', { class: 'empty' }, 'No node has pulled anything yet.');
  /** @type {Shown | undefined} */
  #shown;

  constructor() {
    const search = element('label', { for: 'node-search', class: 'search' }, 'Search nodes ', this.#search);
    this.root.append(this.#lead, this.#empty, ...this.#kinds.parts);
    this.root.append(element('div', { class: 'bar-row' }, search), ...this.#nodes.parts);
    this.#search.addEventListener('input', () => {
      this.#nodes.rows.rewind();
      if (this.#shown) this.show(this.#shown, 0);
    });
  }

  /**
   * @param {Shown} shown
   * @param {number} _now
   */
  show(shown, _now) {
    this.#shown = shown;
    const all = [...shown.clients].toSorted(([, a], [, b]) => needOf(b) - needOf(a) || b.pulls - a.pulls);
    const needy = all.filter(([, { watchdog }]) => biting.has(watchdog)).length;
    const words = this.#search.value.trim().toLowerCase();
    const found = all.filter(([, client]) =>
      `${client.address} ${runtimeName(client.runtime, client.version)}`.toLowerCase().includes(words),
    );
    mark(this.#empty, 'hidden', all.length === 0 ? undefined : '');
    mark(this.#lead, 'hidden', all.length === 0 ? '' : undefined);
    write(this.#lead, leadOf(needy, all.length));
    this.#kinds.show(
      kindsOf(all.map(([, client]) => client)).map((kind) => [`${kind.runtime} ${kind.version}`, kindCells(kind)]),
    );
    this.#nodes.show(found.map(([key, client]) => [key, nodeCells(client)]));
  }
}

/**
 * @param {number} needy
 * @param {number} all
 */
function leadOf(needy, all) {
  if (needy === 0) return `None of ${all} seen cancels a pull that makes no progress.`;
  return `${needy} of ${all} seen ${needy === 1 ? 'cancels' : 'cancel'} a pull after 10 s without progress: ${needy === 1 ? 'it needs' : 'they need'} this mirror.`;
}

/** @param {ClientView} client */
function needOf({ watchdog, savedPulls, suspectedKills }) {
  return (biting.has(watchdog) ? 1 : 0) * 1e9 + suspectedKills * 1e5 + savedPulls;
}

/** @param {readonly ClientView[]} clients */
function kindsOf(clients) {
  /** @type {Map<string, Kind>} */
  const kinds = new Map();
  for (const { runtime, version, watchdog, pulls, savedPulls, suspectedKills } of clients) {
    const key = `${runtime} ${version}`;
    const kind = kinds.get(key) ?? { runtime, version, watchdog, nodes: 0, pulls: 0, savedPulls: 0, suspectedKills: 0 };
    kind.nodes++;
    kind.pulls += pulls;
    kind.savedPulls += savedPulls;
    kind.suspectedKills += suspectedKills;
    kinds.set(key, kind);
  }
  return [...kinds.values()];
}

/** @param {Kind} kind */
function kindCells({ runtime, version, watchdog, nodes, pulls, savedPulls, suspectedKills }) {
  return [runtimeName(runtime, version), watchdogName(watchdog), nodes, pulls, savedPulls, suspectedKills];
}

/** @param {ClientView} client */
function nodeCells({ address, runtime, version, watchdog, pulls, savedPulls, suspectedKills }) {
  return [address, runtimeName(runtime, version), watchdogName(watchdog), pulls, savedPulls, suspectedKills];
}

/** @typedef {readonly (string | number)[]} Cells */

/** A table whose rows become cards on narrow screens: so it says its roles itself. */
class Table {
  #table;
  #body = element('tbody', { role: 'rowgroup' });
  rows;
  parts;

  /**
   * @param {readonly string[]} columns the name of the row first
   * @param {string} caption
   */
  constructor(columns, caption) {
    const heads = columns.map((name) =>
      element('th', { scope: 'col', role: 'columnheader', ...(texts.has(name) ? {} : { 'data-number': '' }) }, name),
    );
    const head = element('thead', { role: 'rowgroup' }, element('tr', { role: 'row' }, ...heads));
    this.#table = element('table', { role: 'table' }, element('caption', {}, caption), head, this.#body);
    /** @type {KeyedList<Cells>} */
    this.rows = new KeyedList(this.#body, () => new TableRow(columns));
    this.parts = [this.#table, this.rows.more];
  }

  /** @param {readonly (readonly [string, Cells])[]} rows */
  show(rows) {
    mark(this.#table, 'hidden', rows.length === 0 ? '' : undefined);
    this.rows.show(rows, 0);
  }
}

class TableRow {
  root = element('tr', { role: 'row' });
  #cells;

  /** @param {readonly string[]} columns */
  constructor(columns) {
    this.#cells = columns.map((name, index) =>
      index === 0
        ? element('th', { scope: 'row', role: 'rowheader' })
        : element('td', { role: 'cell', 'data-label': name }),
    );
    this.root.append(...this.#cells);
  }

  /** @param {Cells} cells */
  show(cells) {
    for (const [index, target] of this.#cells.entries()) {
      const cell = cells[index] ?? '';
      write(target, typeof cell === 'number' ? cell.toLocaleString('en') : cell);
      mark(target, 'data-number', typeof cell === 'number' ? (cell === 0 ? 'none' : 'some') : undefined);
    }
  }
}
