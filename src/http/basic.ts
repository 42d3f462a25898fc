/** What a client logs in with: RFC 7617. Never logged. */
export interface BasicLogin {
  readonly username: string;
  readonly password: string;
}

/** Reads an `Authorization: Basic` header; `undefined` for anything else. */
export function parseBasic(header: string | undefined): BasicLogin | undefined {
  const [, encoded] = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header ?? '') ?? [];
  const text = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}
