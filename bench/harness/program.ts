import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { processorSeconds, processTree, residentBytes, waitsForDisk } from './proc.ts';

const patience = 5000;

/** A process that was started here, and will be ended here. */
export class Program {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #errorFile: string;

  private constructor(child: ChildProcess, pid: number, errorFile: string) {
    this.#child = child;
    this.pid = pid;
    this.#errorFile = errorFile;
  }

  /** Starts a command; what it says goes nowhere, its errors to a file. @throws Error when there is no such command. */
  static async start([file = '', ...words]: readonly string[], errorFile: string): Promise<Program> {
    const errors = openSync(errorFile, 'a');
    try {
      const { PATH, HOME } = process.env;
      const child = spawn(file, words, { stdio: ['ignore', 'ignore', errors], env: { PATH, HOME } });
      await once(child, 'spawn');
      if (child.pid === undefined) throw new Error(`${file} did not start`);
      return new Program(child, child.pid, errorFile);
    } finally {
      closeSync(errors);
    }
  }

  /** Whether it has not ended yet. */
  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of what it wrote as errors. */
  get complaints(): string {
    return readFileSync(this.#errorFile, 'utf8').slice(-2000);
  }

  /** Seconds of processor time so far, with threads and descendants. */
  get processorSeconds(): number {
    return processorSeconds(this.pid);
  }

  /** Bytes of memory held now, and at the peak. */
  get memory(): { readonly now: number; readonly peak: number } {
    return { now: residentBytes(this.pid, 'now'), peak: residentBytes(this.pid, 'peak') };
  }

  /** Resolves when it has hardly used a processor for a while, and waits for no disk. @throws Error when that takes too long. */
  async quiet(): Promise<void> {
    const deadline = performance.now() + 60_000;
    let before = this.processorSeconds;
    for (let calm = 0; calm < 2; ) {
      if (performance.now() > deadline) throw new Error(`process ${this.pid} does not become quiet`);
      await sleep(150);
      const now = this.processorSeconds;
      calm = now - before < 0.004 && !waitsForDisk(this.pid) ? calm + 1 : 0;
      before = now;
    }
  }

  /** Ends it, gently at first. */
  async stop(): Promise<void> {
    if (!this.running) return;
    const tree = processTree(this.pid);
    this.#child.kill('SIGTERM');
    const ended = once(this.#child, 'exit');
    await Promise.race([ended, sleep(patience, undefined, { ref: false })]);
    if (!this.running) return;
    killAll(tree);
    await ended;
  }

  /** Ends it and its descendants now: for the end of this process itself. */
  kill(): void {
    if (this.running) killAll(processTree(this.pid));
  }
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  }
}
