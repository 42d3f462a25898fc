import type { ServerResponse } from 'node:http';
import type { WarmEvent, Warming } from '../cache/warming.ts';
import type { Reference } from '../oci/pull-path.ts';
import type { Route } from '../upstream/routes.ts';

/** An image to bring, and how it was written. */
export interface WarmImage {
  readonly text: string;
  readonly route: Route;
  readonly reference: Reference;
}

/**
 * Brings images one after the other, and tells how that goes as lines of JSON: `{image, digest, size, held}` whenever a
 * blob has moved, `{image, digest?, error}` for what did not come, `{image, complete}` at the end of each. It goes on as
 * long as the client listens; what has come stays.
 */
export async function warm(
  warming: Warming,
  images: readonly WarmImage[],
  platforms: readonly string[] | undefined,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  const say = (line: object) => void response.write(`${JSON.stringify(line)}\n`);
  for (const { text, route, reference } of images) {
    const tell = (event: WarmEvent) => say({ image: text, ...lineOf(event) });
    say({ image: text, complete: await warming.run({ route, reference, platforms }, tell, signal) });
  }
  response.end();
}

function lineOf(event: WarmEvent): object {
  if (event.kind === 'blob') return event.blob;
  return { digest: event.digest, error: event.error instanceof Error ? event.error.message : String(event.error) };
}
