import type { Clock } from '../async/clock.ts';
import type { BlobSource } from '../upstream/blob-source.ts';
import type { UpstreamError } from '../upstream/errors.ts';
import type { Registry } from '../upstream/registry.ts';
import type { Precaution } from './suspects.ts';

/** One way to get at a blob. */
export interface Attempt {
  readonly endpoint: string;
  readonly source: BlobSource;
}

const firstPause = 100;
const longestPause = 5000;

/** Where a flight turns to next: the endpoints in turn, with the name and access of any repository that joined. */
export class Approach {
  readonly #registry: Registry;
  readonly #precaution: Precaution;
  readonly #clock: Clock;
  readonly #sources: BlobSource[] = [];
  /** Attempts that were answered once and for all. */
  readonly #refused = new Set<string>();
  /** Attempts that are limited, and until when (monotonic ms). */
  readonly #limits = new Map<string, number>();
  /** The only endpoint that is asked. */
  #alone: string | undefined;
  #failures = 0;
  #failingSince: number | undefined;
  #pausedUntil = 0;

  constructor(registry: Registry, clock: Clock, precaution: Precaution) {
    this.#registry = registry;
    this.#precaution = precaution;
    this.#clock = clock;
  }

  /** Another repository of the upstream has the blob. */
  add(source: BlobSource): void {
    if (!this.#sources.some(({ repository }) => repository === source.repository)) this.#sources.push(source);
  }

  /** Whether wrong bytes have come, and it is not known from whom: this may bring them again. */
  get doubted(): boolean {
    return this.#precaution.alone;
  }

  /** Milliseconds to wait before the next attempt; 0 for none. */
  get pause(): number {
    return Math.max(0, this.#pausedUntil - this.#clock.now());
  }

  /** Calls back as soon as there is no pause. Timers may be early, and a pause may grow. */
  afterPause(over: () => void): void {
    const { pause } = this;
    if (pause === 0) over();
    else this.#clock.after(Math.ceil(pause), () => this.afterPause(over));
  }

  /** The best attempt now: one that is limited where there is no other; `undefined` when every one was refused. */
  next(): Attempt | undefined {
    const attempts = this.#endpoints()
      .flatMap((endpoint) => this.#sources.map((source) => ({ endpoint, source })))
      .filter((attempt) => !this.#refused.has(keyOf(attempt)));
    const now = this.#clock.now();
    const wait = (attempt: Attempt) => Math.max(now, this.#limitedUntil(attempt));
    const [next] = attempts.toSorted((a, b) => wait(a) - wait(b));
    if (this.#precaution.alone) this.#alone = next?.endpoint;
    return next;
  }

  /** The repository under whose name it was asked for first. */
  get repository(): string | undefined {
    return this.#sources[0]?.repository;
  }

  /** Bytes have come that nobody had: whoever begins from the start again and again gets nowhere. */
  succeeded(attempt: Attempt): void {
    this.#registry.health.succeeded(attempt.endpoint);
    this.#failures = 0;
    this.#failingSince = undefined;
    this.#pausedUntil = 0;
    this.#limits.delete(keyOf(attempt));
  }

  /** An attempt is silent; the next one need not wait. @returns whether there is any use in going on. */
  stalled(attempt: Attempt, error: UpstreamError): boolean {
    this.#registry.health.note(attempt.endpoint, error);
    this.#alone = undefined;
    return this.#isHopeful();
  }

  /** @returns whether there is any use in going on. */
  failed(attempt: Attempt, error: UpstreamError): boolean {
    this.#registry.health.note(attempt.endpoint, error);
    this.#alone = undefined;
    if (error.kind === 'limited') this.#limits.set(keyOf(attempt), this.#clock.now() + (error.retryAfterMs ?? 0));
    if (error.retriable) this.#pause();
    else this.#refused.add(keyOf(attempt));
    const next = this.next();
    if (next !== undefined) this.#pausedUntil = Math.max(this.#pausedUntil, this.#limitedUntil(next));
    return this.#isHopeful() && next !== undefined;
  }

  /** Those that may be asked, the best first. Where nobody else is left, also those that have been wrong. */
  #endpoints(): string[] {
    if (this.#alone !== undefined) return [this.#alone];
    const all = this.#registry.health.order();
    const right = all.filter((endpoint) => !this.#precaution.avoid.has(endpoint));
    return right.length > 0 ? right : all;
  }

  #limitedUntil(attempt: Attempt): number {
    return this.#limits.get(keyOf(attempt)) ?? 0;
  }

  /** Several attempts that fail at the same time are one failure: a pause that has begun does not grow. */
  #pause(): void {
    if (this.pause > 0) return;
    this.#failures++;
    // Every endpoint gets its turn before the first pause.
    const rounds = this.#failures - this.#registry.settings.endpoints.length;
    if (rounds >= 0) this.#pausedUntil = this.#clock.now() + Math.min(longestPause, firstPause * 2 ** rounds);
  }

  #isHopeful(): boolean {
    const now = this.#clock.now();
    this.#failingSince ??= now;
    return now - this.#failingSince < this.#registry.settings.giveUp;
  }
}

function keyOf({ endpoint, source }: Attempt): string {
  return `${endpoint} ${source.repository}`;
}
