import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Requests that are asked again and again. */
export interface Load {
  readonly port: number;
  readonly path: string;
  readonly accept: string;
  readonly connections: number;
  readonly seconds: number;
  /** Words before the command, such as those of `taskset`. */
  readonly prefix: readonly string[];
}

/** Loads a server with wrk, from one thread. @returns requests per second. @throws Error when any was not answered with 200. */
export async function requestsPerSecond({ port, path, accept, connections, seconds, prefix }: Load): Promise<number> {
  const words = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '-H', `Accept: ${accept}`];
  const [command = '', ...rest] = [...prefix, ...words, `http://127.0.0.1:${port}${path}`];
  const { stdout } = await promisify(execFile)(command, rest, { timeout: (seconds + 30) * 1000 });
  const rate = /^Requests\/sec: +([\d.]+)$/m.exec(stdout)?.[1];
  if (rate === undefined || /Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk on ${path}: ${stdout}`);
  return Number(rate);
}
