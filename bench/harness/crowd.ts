import { Worker } from 'node:worker_threads';
import type { CrowdOrder, CrowdReport } from './crowd-worker.ts';

/** Many clients at once, on a thread of their own. */
export class Crowd {
  /** Resolves when the first of them has reached the milestone. */
  readonly milestone: Promise<void>;
  /** Resolves when all are served. Rejects when one is not. */
  readonly end: Promise<CrowdReport & { kind: 'end' }>;

  /** Sends them off. */
  constructor(order: CrowdOrder) {
    const worker = new Worker(new URL('./crowd-worker.ts', import.meta.url), { workerData: order });
    const milestone = Promise.withResolvers<void>();
    const end = Promise.withResolvers<CrowdReport & { kind: 'end' }>();
    worker.on('message', (report: CrowdReport) => {
      if (report.kind === 'end') end.resolve(report);
      else milestone.resolve();
    });
    worker.on('error', (error) => end.reject(error));
    worker.on('exit', () => end.reject(new Error('the clients ended without a result')));
    this.end = end.promise;
    this.milestone = Promise.race([milestone.promise, this.end.then(() => {})]);
  }
}
