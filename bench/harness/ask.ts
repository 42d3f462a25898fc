import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

/** A small question to a server on 127.0.0.1; its body may be large. */
export interface Question {
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: Iterable<Buffer>;
}

/** The answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Asks on a connection of its own. @throws Error when there is no answer within a minute. */
export async function ask({ port, method, path, headers, body = [] }: Question): Promise<Answer> {
  const signal = AbortSignal.timeout(60_000);
  const outgoing = request({ host: '127.0.0.1', port, method, path, headers, agent: false, signal });
  const answered = once(outgoing, 'response', { signal }).then(([response]: IncomingMessage[]) => response);
  const [response] = await Promise.all([answered, pipeline(Readable.from(body), outgoing)]);
  if (response === undefined) throw new Error(`${method} ${path}: no answer`);
  return { status: response.statusCode ?? 0, headers: response.headers, body: await buffer(response) };
}

/** Asks, and takes no answer but this status. @throws Error for any other. */
export async function demand(status: number, question: Question): Promise<Answer> {
  const answer = await ask(question);
  if (answer.status === status) return answer;
  throw new Error(`${question.method} ${question.path}: ${answer.status} ${answer.body.toString('utf8', 0, 200)}`);
}
