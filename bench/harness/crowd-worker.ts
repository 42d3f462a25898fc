import { parentPort, workerData } from 'node:worker_threads';
import { type Download, digester, download, receiveBuffer } from './download.ts';

/** What a crowd is to do. */
export interface CrowdOrder {
  readonly port: number;
  readonly path: string;
  /** How many download it, all at once. */
  readonly clients: number;
  /** Of so many clients, one checks the digest: hashing all would be what is measured. */
  readonly hashEvery: number;
  /** The first client that has so many bytes is reported. */
  readonly milestone: number;
  /** See `DownloadOptions`. */
  readonly upTo?: number;
}

/** What it reports: first the milestone, then the end. */
export type CrowdReport =
  | { readonly kind: 'milestone' }
  | { readonly kind: 'end'; readonly downloads: readonly Download[]; readonly digests: readonly string[] };

const order: CrowdOrder = workerData;
let passed = false;

function pass(): void {
  if (passed) return;
  passed = true;
  report({ kind: 'milestone' });
}

function report(message: CrowdReport): void {
  parentPort?.postMessage(message);
}

async function downloadOne(index: number, buffer: Buffer): Promise<{ download: Download; digest: string | undefined }> {
  const { port, path, upTo } = order;
  const hasher = index % order.hashEvery === 0 ? digester() : undefined;
  let received = 0;
  const onBytes = (bytes: Buffer) => {
    received += bytes.length;
    if (received >= order.milestone) pass();
    hasher?.onBytes(bytes);
  };
  const done = await download({ port, path, buffer, onBytes, ...(upTo === undefined ? {} : { upTo }) });
  return { download: done, digest: hasher?.digest() };
}

// What was read is used up before the next read, so one buffer serves all.
const buffer = receiveBuffer();
const all = await Promise.all(Array.from({ length: order.clients }, (_, index) => downloadOne(index, buffer)));
report({
  kind: 'end',
  downloads: all.map(({ download }) => download),
  digests: all.map(({ digest }) => digest).filter((digest) => digest !== undefined),
});
