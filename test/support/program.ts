import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { tempDir } from './temp.ts';

/** After so many milliseconds, a program that should have come to its end is ended. */
const patience = 120_000;

/** How a program ended. */
export interface Outcome {
  /** `null` where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What may be different about a program. */
export interface ProgramOptions {
  /** Variables beside PATH and HOME (an empty directory, so that nobody's own settings matter). */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A program that was started here, and is ended here: at the latest with this process. */
export class Program {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #kill = () => void this.#child.kill('SIGKILL');
  #stdout = '';
  #stderr = '';

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child;
    this.pid = pid;
    this.#ended = once(child, 'close').then(() => process.off('exit', this.#kill));
    process.once('exit', this.#kill);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
  }

  /** Starts a command. @throws Error when there is no such command. */
  static async start([file = '', ...words]: readonly string[], options: ProgramOptions = {}): Promise<Program> {
    const { PATH, NODE_COMPILE_CACHE } = process.env;
    const env = { PATH, NODE_COMPILE_CACHE, HOME: tempDir(), ...options.env };
    const child = spawn(file, words, { ...options, env, stdio: ['ignore', 'pipe', 'pipe'] });
    await once(child, 'spawn');
    if (child.pid === undefined) throw new Error(`${file} did not start`);
    return new Program(child, child.pid);
  }

  /** What it has written to stdout so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** What it has written to stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Resolves as soon as the condition holds. @throws Error with what it wrote, when it ends or too much time passes. */
  async ready(condition: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + patience;
    while (!(await condition())) {
      const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (ended || performance.now() > deadline) throw new Error(`it is not ready: ${this.#stderr}${this.#stdout}`);
      await setTimeout(20);
    }
  }

  /** Waits for its end. */
  async outcome(): Promise<Outcome> {
    await this.#ended;
    return { code: this.#child.exitCode, stdout: this.#stdout, stderr: this.#stderr };
  }

  /** Ends it, gently at first. */
  async stop(): Promise<Outcome> {
    this.#child.kill('SIGTERM');
    const ended = await Promise.race([this.#ended.then(() => true), setTimeout(10_000, false, { ref: false })]);
    if (!ended) this.#kill();
    return this.outcome();
  }
}

/** Runs a command to its end, whatever that is. */
export async function attempt(command: readonly string[], options: ProgramOptions = {}): Promise<Outcome> {
  const program = await Program.start(command, options);
  const outcome = program.outcome();
  const inTime = await Promise.race([outcome, setTimeout(patience, undefined, { ref: false })]);
  return inTime ?? program.stop();
}

/** Runs a command that has to succeed. @returns what it wrote to stdout. @throws Error with what it wrote to stderr */
export async function run(command: readonly string[], options: ProgramOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await attempt(command, options);
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}
