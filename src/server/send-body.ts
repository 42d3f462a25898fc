import type { ServerResponse } from 'node:http';
import type { BufferBudget } from '../async/buffers.ts';
import type { BlobReader } from '../cache/reader.ts';
import type { AccessRecord } from './access-log.ts';
import { LookAhead } from './look-ahead.ts';
import type { Pace } from './pace.ts';
import type { Pacer } from './pacer.ts';

/** What a body is sent with. */
export interface BodyContext {
  readonly budget: BufferBudget;
  readonly pacer: Pacer;
  readonly record: AccessRecord;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/**
 * Sends what a reader reads from `start` on, at once whenever there is something, and ends the response; how far it may
 * go, the pacer says. A client that takes its time holds two buffers, and nobody up.
 * @throws what the reader throws, once all that is there has gone out; the signal's reason. Then the response is still
 * open, and short.
 */
export async function sendBody(
  response: ServerResponse,
  reader: BlobReader,
  start: number,
  context: BodyContext,
): Promise<void> {
  const leave = context.budget.join();
  const pace = context.pacer.pace(context.record.stream);
  const content = new LookAhead(reader, context.budget);
  try {
    let position = start;
    while (reader.end === undefined || position < reader.end) {
      const limit = pace.limit(position, content.ready(position), reader.end);
      if (limit === position) await restOrFlush(response, { reader, content }, pace, position, context);
      else position += await sendPiece(response, content, { position, limit }, pace, context);
    }
    response.end();
  } finally {
    pace.end();
    leave();
    await content.close();
    await reader.close();
  }
}

/** Where nothing more will come, what was kept back still goes: a client resumes behind it. */
async function restOrFlush(
  response: ServerResponse,
  { reader, content }: { reader: BlobReader; content: LookAhead },
  pace: Pace,
  from: number,
  context: BodyContext,
): Promise<void> {
  try {
    await pace.rest(reader, context.signal);
  } catch (error) {
    context.signal.throwIfAborted();
    const limit = content.ready(from);
    for (let position = from; position < limit; )
      position += await sendPiece(response, content, { position, limit }, pace, context);
    throw error;
  }
}

async function sendPiece(
  response: ServerResponse,
  content: LookAhead,
  { position, limit }: { position: number; limit: number },
  pace: Pace,
  { record, signal }: BodyContext,
): Promise<number> {
  const bytes = await content.read(position, limit);
  record.sent(bytes.length);
  await write(response, bytes, signal);
  pace.wrote();
  record.taken();
  return bytes.length;
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
