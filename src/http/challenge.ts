/** One challenge of a `WWW-Authenticate` header: RFC 9110 §11.6.1. */
export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case; the first of a repeated name counts. */
  readonly params: ReadonlyMap<string, string>;
}

const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const quoted = /"((?:[^"\\]|\\.)*)"/y;
const spaces = /[ \t]*/y;
const separators = /[ \t,]*/y;
const token68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;

/**
 * Reads every challenge of one header line, in order: several challenges may share a line, and commas and
 * spaces inside quotes are content (`scope="repository:a/b:pull,push"`). Never throws: reading ends at the
 * first thing that the grammar does not allow, and what was read up to there counts.
 */
export function parseChallenges(header: string): Challenge[] {
  const scanner = new Scanner(header);
  const challenges: Challenge[] = [];
  for (;;) {
    scanner.take(separators);
    const scheme = scanner.take(token);
    if (!scheme) return challenges;
    scanner.take(spaces);
    challenges.push({ scheme: scheme.toLowerCase(), params: readParams(scanner) });
  }
}

function readParams(scanner: Scanner): Map<string, string> {
  const params = new Map<string, string>();
  for (;;) {
    const start = scanner.position;
    scanner.take(separators);
    const name = scanner.take(token)?.toLowerCase();
    const value = name === undefined ? undefined : readValue(scanner);
    if (name === undefined || value === undefined) {
      // Not `name=value`: a token68, or the next challenge's scheme.
      scanner.position = start;
      if (params.size === 0) scanner.take(token68);
      return params;
    }
    if (!params.has(name)) params.set(name, value);
  }
}

function readValue(scanner: Scanner): string | undefined {
  scanner.take(spaces);
  if (!scanner.takeText('=')) return undefined;
  scanner.take(spaces);
  const text = scanner.take(quoted);
  if (text !== undefined) return text.slice(1, -1).replace(/\\(.)/g, '$1');
  return scanner.take(token);
}

class Scanner {
  readonly #text: string;
  position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.position;
    const match = pattern.exec(this.#text)?.[0];
    if (match !== undefined) this.position += match.length;
    return match;
  }

  takeText(text: string): boolean {
    if (!this.#text.startsWith(text, this.position)) return false;
    this.position += text.length;
    return true;
  }
}
