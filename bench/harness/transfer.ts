import { type Download, download } from './download.ts';
import type { Server } from './lab.ts';

/** Downloads one after the other, and what they cost the server. */
export interface TransferOptions {
  readonly path: string;
  readonly buffer: Buffer;
  /** Default: once. */
  readonly times?: number;
  /** What must be done just before, while the server is quiet. */
  readonly prepare: () => Promise<unknown>;
}

/** What came of it. */
export interface Transfer {
  /** Million bytes per second. */
  readonly rate: number;
  /** Seconds of the server's processor time per 1,000 million bytes. */
  readonly processorPerGigabyte: number;
}

/** Downloads a path; counts the server's processor time until it has nothing more to do. */
export async function transfer(
  { port, program }: Server,
  { path, buffer, prepare, times = 1 }: TransferOptions,
): Promise<Transfer> {
  await program.quiet();
  await prepare();
  const before = program.processorSeconds;
  const downloads: Download[] = [];
  for (let count = 0; count < times; count++) downloads.push(await download({ port, path, buffer }));
  await program.quiet();
  const processor = program.processorSeconds - before;
  const bytes = downloads.reduce((sum, each) => sum + each.bytes, 0);
  const totalMs = downloads.reduce((sum, each) => sum + each.totalMs, 0);
  return { rate: bytes / totalMs / 1000, processorPerGigabyte: (processor * 1e9) / bytes };
}
