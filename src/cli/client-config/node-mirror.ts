/** A mirror as nodes reach it, and what it mirrors. */
export interface NodeMirror {
  /** Host and port. */
  readonly authority: string;
  readonly tls: boolean;
  /** Names of upstreams. */
  readonly upstreams: readonly string[];
}

/** A file to put on a node, or to apply to a cluster. */
export interface ClientFile {
  readonly path: string;
  readonly content: string;
}

/** What a client needs to use a mirror. */
export interface ClientFiles {
  readonly files: readonly ClientFile[];
  /** What is to be done then, and what else is to be known: sentences. */
  readonly notes: readonly string[];
}

/** The URL of the mirror. */
export function urlOfMirror({ authority, tls }: NodeMirror): string {
  return `${tls ? 'https' : 'http'}://${authority}`;
}
