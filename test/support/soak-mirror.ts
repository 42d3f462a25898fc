import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Holdings, Order } from '../soak/mirror-process.ts';

const program = fileURLToPath(new URL('../soak/mirror-process.ts', import.meta.url));

/** A mirror in a process of its own, that is ended and started again on the same port and the same data. */
export class SoakMirror {
  readonly #configOf: (port: number) => object;
  #child: ChildProcess | undefined;
  #port = 0;

  /** `configOf`: the keys of the configuration file, but for `listen`. */
  constructor(configOf: () => object) {
    this.#configOf = (port) => ({ listen: `127.0.0.1:${port}`, admin: '127.0.0.1:0', ...configOf() });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const child = fork(program, [JSON.stringify(this.#configOf(this.#port))], { execArgv: ['--expose-gc'] });
    this.#child = child;
    const [port] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [undefined])]);
    if (typeof port !== 'number') throw new Error('the mirror did not start');
    this.#port = port;
  }

  /** Ends it, in order. */
  async stop(): Promise<void> {
    const ended = this.#ended();
    this.#tell({ kind: 'stop' });
    await ended;
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    const ended = this.#ended();
    this.#child?.kill('SIGKILL');
    await ended;
  }

  reconfigure(): void {
    this.#tell({ kind: 'reconfigure', config: this.#configOf(this.#port) });
  }

  /** Moves its wall clock. */
  step(ms: number): void {
    this.#tell({ kind: 'step', ms });
  }

  /** What it holds. @throws Error when it has ended by itself */
  async measure(): Promise<Holdings> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) throw new Error('the mirror has ended by itself');
    const answer = once(child, 'message');
    this.#tell({ kind: 'measure' });
    const [holdings]: Holdings[] = await answer;
    if (holdings === undefined) throw new Error('the mirror has not said what it holds');
    return holdings;
  }

  async #ended(): Promise<void> {
    const child = this.#child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  #tell(order: Order): void {
    this.#child?.send(order);
  }
}
