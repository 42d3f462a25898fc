/** A JSON object. */
export type Json = { readonly [key: string]: unknown };

/** Whether this is a JSON object. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads JSON in UTF-8. @throws the parser's error, or the decoder's. */
export function readJson(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
}
