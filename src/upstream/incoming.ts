import type { Dispatcher } from 'undici';

/** What an answer begins with. */
export interface Head {
  readonly status: number;
  /** By name, in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** So many bytes of a body may wait to be taken before their source is made to wait too, */
const maxWaiting = 1024 * 1024;
/** in so many chunks: each may keep a buffer of 64 KiB, however little of it is used. */
const maxChunks = 128;

/**
 * What comes for one request: a head, then a body. Whoever takes the body gets all of it that has come since, as the
 * buffers that it came in: a stream would copy them together, or hand them over one by one.
 */
export class Incoming implements Dispatcher.DispatchHandler {
  readonly #head = Promise.withResolvers<Head>();
  #controller: Dispatcher.DispatchController | undefined;
  #waiting: Buffer[] = [];
  #bytes = 0;
  /** It is over: all has come, or something went wrong. */
  #ended: { readonly error?: Error } | undefined;
  #wake: (() => void) | undefined;
  readonly #leave: () => void;

  /** It ends when `signal` aborts, with the reason for that. */
  constructor(signal: AbortSignal) {
    // Whoever asks for it hears of it.
    this.#head.promise.catch(() => {});
    const abort = () => this.abort(signal.reason);
    // A signal that is made of others is kept for ever while anybody listens.
    this.#leave = () => signal.removeEventListener('abort', abort);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
  }

  /** How it begins. @throws what ended it before. */
  get head(): Promise<Head> {
    return this.#head.promise;
  }

  /** How many bytes wait to be taken. */
  get waiting(): number {
    return this.#bytes;
  }

  /** Whether no more will come than waits to be taken. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Resolves when something waits to be taken, or it has ended. */
  async arrival(): Promise<void> {
    while (this.#waiting.length === 0 && this.#ended === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Everything of the body that has come and was not taken: nothing where it has ended. @throws what ended it too early */
  take(): readonly Buffer[] {
    const taken = this.#waiting;
    if (taken.length === 0 && this.#ended?.error) throw this.#ended.error;
    this.#waiting = [];
    this.#bytes = 0;
    this.#controller?.resume();
    return taken;
  }

  /** Nobody wants any more of it: where it has not ended, its connection is cut. What has come can still be taken. */
  abort(reason: Error): void {
    if (this.#ended) return;
    this.#end(reason);
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended?.error) controller.abort(this.#ended.error);
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Head['headers']): void {
    if (status >= 200) this.#head.resolve({ status, headers });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#waiting.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > maxWaiting || this.#waiting.length > maxChunks) controller.pause();
    this.#wake?.();
  }

  onResponseEnd(): void {
    this.#end(undefined);
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#end(error);
  }

  #end(error: Error | undefined): void {
    this.#ended ??= error === undefined ? {} : { error };
    this.#leave();
    if (error !== undefined) this.#head.reject(error);
    this.#wake?.();
  }
}
