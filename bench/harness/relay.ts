import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { RelayOrder } from './relay-worker.ts';

/** A way to a server that counts what comes from it, and may be as slow as a real network. On a thread of its own. */
export class Relay {
  readonly port: number;
  readonly #worker: Worker;
  readonly #counter: BigUint64Array;

  private constructor(port: number, worker: Worker, counter: BigUint64Array) {
    this.port = port;
    this.#worker = worker;
    this.#counter = counter;
  }

  /** Opens a way to this port: all connections together bring `bytesPerSecond`, or whatever they can. */
  static async open(targetPort: number, bytesPerSecond?: number): Promise<Relay> {
    const counter = new BigUint64Array(new SharedArrayBuffer(8));
    const order: RelayOrder = { targetPort, bytesPerSecond, counter };
    const worker = new Worker(new URL('./relay-worker.ts', import.meta.url), { workerData: order });
    const [port]: number[] = await once(worker, 'message');
    if (port === undefined) throw new Error('the relay does not listen');
    return new Relay(port, worker, counter);
  }

  /** Bytes that came from the server so far, headers included. */
  get received(): number {
    return Number(Atomics.load(this.#counter, 0));
  }

  /** Cuts all connections. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
