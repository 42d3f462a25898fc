import type { IncomingMessage } from 'node:http';
import { RegistryError } from '../oci/errors.ts';
import { isObject, type Json, readJson } from '../oci/json.ts';

const maxBody = 1024 * 1024;

/** Reads the JSON object that a request brings. @throws RegistryError when it is none, or too long */
export async function readJsonBody(request: IncomingMessage): Promise<Json> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > maxBody) throw invalid('the body is too long');
    chunks.push(chunk);
  }
  return parse(Buffer.concat(chunks));
}

function parse(bytes: Buffer): Json {
  try {
    const json = readJson(bytes);
    if (isObject(json)) return json;
  } catch (cause) {
    throw invalid('the body is not JSON', cause);
  }
  throw invalid('the body is not a JSON object');
}

function invalid(message: string, cause?: unknown): RegistryError {
  return new RegistryError('NAME_INVALID', { message, cause });
}
