import { type Cancel, type Clock, systemClock } from '../../src/async/clock.ts';
import { Mirror } from '../../src/mirror.ts';
import { collectLog, type LogLine, settingsOf } from '../support/mirror.ts';
import { openFiles } from '../support/open-files.ts';

/** What the soak tells the process of its mirror. */
export type Order =
  | { readonly kind: 'reconfigure'; readonly config: object }
  /** Wall time jumps by so many milliseconds. */
  | { readonly kind: 'step'; readonly ms: number }
  | { readonly kind: 'measure' }
  | { readonly kind: 'stop' };

/** What that process holds, after collecting garbage. */
export interface Holdings {
  readonly heapBytes: number;
  readonly files: number;
  readonly timers: number;
  /** Errors that it has logged since the last time. */
  readonly errors: readonly string[];
}

/** The machine's clock, but its wall time can be moved, and it knows how many timers wait. */
class SteppedClock implements Clock {
  timers = 0;
  #offset = 0;

  now(): number {
    return systemClock.now();
  }

  wall(): number {
    return systemClock.wall() + this.#offset;
  }

  step(ms: number): void {
    this.#offset += ms;
  }

  after(ms: number, callback: () => void): Cancel {
    let waits = true;
    this.timers++;
    const over = () => {
      if (waits) this.timers--;
      waits = false;
    };
    const cancel = systemClock.after(ms, () => {
      over();
      callback();
    });
    return () => {
      over();
      cancel();
    };
  }
}

/** A mirror in a process of its own. */
async function run(config: object): Promise<void> {
  const clock = new SteppedClock();
  const log: LogLine[] = [];
  const mirror = await Mirror.open(settingsOf(config), { clock, log: collectLog(log) });
  const { registry } = await mirror.listen();
  const holdings = (): Holdings => {
    globalThis.gc?.();
    const errors = log.splice(0).filter(({ level }) => level === 'error');
    return {
      heapBytes: process.memoryUsage().heapUsed,
      files: openFiles(),
      timers: clock.timers,
      errors: errors.map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`),
    };
  };
  process.on('message', (order: Order) => {
    if (order.kind === 'step') clock.step(order.ms);
    else if (order.kind === 'reconfigure') mirror.reconfigure(settingsOf(order.config));
    else if (order.kind === 'measure') process.send?.(holdings());
    else
      void mirror
        .drain()
        .then(() => mirror.close())
        .then(() => process.disconnect());
  });
  // Without the soak there is nobody to end it.
  process.once('disconnect', () => process.exit());
  process.send?.(registry[0]?.port);
}

await run(JSON.parse(process.argv[2] ?? '{}'));
