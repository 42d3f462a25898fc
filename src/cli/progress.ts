import type { Clock } from '../async/clock.ts';
import { formatSize } from '../config/units.ts';

interface Bar {
  readonly size: number;
  readonly from: number;
  readonly beganAt: number;
  held: number;
}

const barWidth = 24;

/** Bars on a terminal, one for each blob that is coming: how much is there, how fast it comes, how long it will take. */
export class Progress {
  readonly #out: Pick<NodeJS.WriteStream, 'write' | 'columns' | 'rows'>;
  readonly #clock: Clock;
  readonly #bars = new Map<string, Bar>();
  #drawn = 0;

  constructor(out: Pick<NodeJS.WriteStream, 'write' | 'columns' | 'rows'>, clock: Clock) {
    this.#out = out;
    this.#clock = clock;
  }

  /** So many bytes of this are there now. */
  update(name: string, size: number, held: number): void {
    const bar = this.#bars.get(name) ?? { size, from: held, beganAt: this.#clock.now(), held };
    bar.held = held;
    this.#bars.set(name, bar);
    this.#draw();
  }

  /** Takes the bars away, and says this instead. */
  say(line: string): void {
    this.#erase();
    this.#out.write(`${line}\n`);
    this.#draw();
  }

  /** All is said: what was drawn goes. */
  clear(): void {
    this.#erase();
    this.#bars.clear();
  }

  #draw(): void {
    this.#erase();
    const coming = [...this.#bars].filter(([, { held, size }]) => held < size);
    const shown = coming.slice(0, Math.max(1, (this.#out.rows ?? 24) - 2));
    for (const [name, bar] of shown)
      this.#out.write(`${this.#lineOf(name, bar).slice(0, (this.#out.columns ?? 80) - 1)}\n`);
    this.#drawn = shown.length;
  }

  #erase(): void {
    if (this.#drawn > 0) this.#out.write(`\u001b[${this.#drawn}A\u001b[J`);
    this.#drawn = 0;
  }

  #lineOf(name: string, { size, held, from, beganAt }: Bar): string {
    const done = size === 0 ? 1 : held / size;
    const full = Math.floor(done * barWidth);
    const rate = ((held - from) * 1000) / Math.max(1, this.#clock.now() - beganAt);
    const left = rate > 0 ? `${Math.ceil((size - held) / rate)} s left` : 'waiting';
    const bar = `${'#'.repeat(full)}${'.'.repeat(barWidth - full)}`;
    return `${name}  [${bar}] ${String(Math.floor(done * 100)).padStart(3)}%  ${formatSize(size)}  ${formatSize(rate)}/s  ${left}`;
  }
}
