import type { IncomingMessage, ServerResponse } from 'node:http';
import type { StorageDriver } from '../storage/driver.ts';
import type { Admission } from './admission.ts';
import { reply } from './reply.ts';

const text = { 'content-type': 'text/plain; charset=utf-8' };

/** `/livez`: the process is there. */
export function answerLive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  reply(request, response, 200, text, Buffer.from('ok\n'));
  return Promise.resolve();
}

/** `/readyz`: pulls can be served. Never depends on upstreams: what is held is served without them. */
export async function answerReady(
  { storage, admission }: { storage: StorageDriver; admission: Admission },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const trouble = admission.draining ? 'shutting down' : await storageTrouble(storage);
  if (trouble === undefined) reply(request, response, 200, text, Buffer.from('ok\n'));
  else reply(request, response, 503, text, Buffer.from(`${trouble}\n`));
}

async function storageTrouble(storage: StorageDriver): Promise<string | undefined> {
  try {
    await storage.probe();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : 'the data directory cannot be written';
  }
}
