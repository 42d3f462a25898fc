import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './ask.ts';
import { Program } from './program.ts';

/** A server under test, on 127.0.0.1. */
export interface Server {
  /** What the tables call it. */
  readonly name: string;
  readonly port: number;
  readonly program: Program;
  /** Removes the blobs that it has cached, and with them the memory that the system keeps of them. */
  evict(): Promise<void>;
}

/** How a server is started: it gets a free port, and says which path answers once it is up. */
export interface Launch {
  readonly directory: string;
  readonly command: (port: number) => Promise<readonly string[]>;
  readonly readyPath: string;
}

const attempts = 3;
const startTimeout = 60_000;

/** A private directory, and every process that was started in it. Nothing of either is left behind. */
export class Lab {
  readonly #root: string;
  readonly #programs = new Set<Program>();
  #directories = 0;

  private constructor(root: string) {
    this.#root = root;
  }

  /** Makes the directory. */
  static async open(): Promise<Lab> {
    return new Lab(await mkdtemp(join(tmpdir(), 'weir-bench-')));
  }

  /** A new, empty directory. */
  async directory(): Promise<string> {
    const path = join(this.#root, String(++this.#directories));
    await mkdir(path);
    return path;
  }

  /** Starts a server and waits until it answers. @throws Error with what it complained about. */
  async launch({ directory, command, readyPath }: Launch): Promise<{ port: number; program: Program }> {
    let complaints = '';
    for (let attempt = 0; attempt < attempts; attempt++) {
      // Another process may take the port in between: hence more than one attempt.
      const port = await freePort();
      const program = await Program.start(await command(port), join(directory, 'errors'));
      this.#programs.add(program);
      if (await answers(program, port, readyPath)) return { port, program };
      complaints = program.complaints;
      await this.stop(program);
    }
    throw new Error(`a server does not start: ${complaints}`);
  }

  /** Ends one process. */
  async stop(program: Program): Promise<void> {
    await program.stop();
    this.#programs.delete(program);
  }

  /** Ends all processes, the last one first, and removes the directory. */
  async close(): Promise<void> {
    for (const program of [...this.#programs].reverse()) await this.stop(program);
    await rm(this.#root, { recursive: true, force: true });
  }

  /** The same at once, for when this process is about to end without `close`; the directory stays. */
  kill(): void {
    for (const program of this.#programs) program.kill();
  }
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('the system gives no port');
  return address.port;
}

async function answers(program: Program, port: number, path: string): Promise<boolean> {
  const deadline = performance.now() + startTimeout;
  while (program.running && performance.now() < deadline) {
    const status = await ask({ port, method: 'GET', path }).then(
      (answer) => answer.status,
      () => 0,
    );
    if (status >= 200 && status < 500) return true;
    await sleep(25);
  }
  return false;
}
