import type { ServerResponse } from 'node:http';
import type { BufferBudget } from '../async/buffers.ts';
import type { BlobReader } from '../cache/reader.ts';
import { StorageError } from '../storage/driver.ts';
import type { AccessRecord } from './access-log.ts';

/** What a body is sent with. */
export interface BodyContext {
  readonly budget: BufferBudget;
  readonly record: AccessRecord;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/**
 * Sends what a reader reads from `start` on, at once whenever there is something, and ends the response. A client that
 * takes its time holds one buffer, and nobody up.
 * @throws what the reader throws; the signal's reason. Then the response is still open, and short.
 */
export async function sendBody(
  response: ServerResponse,
  reader: BlobReader,
  start: number,
  context: BodyContext,
): Promise<void> {
  const leave = context.budget.join();
  try {
    let position = start;
    while (reader.end === undefined || position < reader.end) {
      if (reader.ready(position) === position) await reader.arrival(position, context.signal);
      else position += await sendPiece(response, reader, position, context);
    }
    response.end();
  } finally {
    leave();
    await reader.close();
  }
}

async function sendPiece(
  response: ServerResponse,
  reader: BlobReader,
  position: number,
  context: BodyContext,
): Promise<number> {
  const { budget, record, signal } = context;
  const length = Math.min(budget.piece, reader.ready(position) - position);
  const buffer = budget.lease(length);
  try {
    const read = await reader.read(buffer.subarray(0, length), position);
    if (read === 0) throw new StorageError('EIO', 'stored content is shorter than recorded');
    record.sent(read);
    await write(response, buffer.subarray(0, read), signal);
    record.taken();
    return read;
  } finally {
    budget.release(buffer);
  }
}

/** Resolves when the connection has taken all of it: until then the buffer is in use. */
function write(response: ServerResponse, bytes: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    response.write(bytes, (error) => {
      signal.removeEventListener('abort', onAbort);
      if (error) reject(error);
      else resolve();
    });
  });
}
