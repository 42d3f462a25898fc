import { rmSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { CrioNode } from './crio-node.ts';
import { endEarly, type Fault, resetAfter, slow, stallAfter, status } from './faults.ts';
import { type FixtureImage, makeImage } from './images.ts';
import { Random } from './random.ts';
import { FakeRegistry } from './registry.ts';
import { type Disagreements, disagreements, diskBytes } from './soak-disk.ts';
import { SoakMirror } from './soak-mirror.ts';
import { tempDir } from './temp.ts';
import { until } from './until.ts';

/** How a soak is run. */
export interface SoakOptions {
  /** Milliseconds. In the second half the process is not restarted any more, so that its growth can be seen. */
  readonly duration: number;
  readonly seed: number;
}

/** What came of it. */
export interface SoakReport {
  readonly pulls: number;
  /** Pulls that failed while the mirror was being restarted, as they may. */
  readonly disturbed: number;
  /** Pulls that failed otherwise, and errors that the mirror has logged. */
  readonly failures: readonly string[];
  /** How often what was done to it. */
  readonly disturbances: Readonly<Record<string, number>>;
  /** The most that ever lay on the disk, and the limit, in bytes. */
  readonly mostOnDisk: number;
  readonly limit: number;
  /** Bytes of the heap, over the second half. */
  readonly heap: readonly number[];
  /** Descriptors and timers: before the first pull, and after the last. */
  readonly before: Holding;
  readonly after: Holding;
  readonly disk: Disagreements;
}

/** What a quiet process holds. */
export interface Holding {
  readonly files: number;
  readonly timers: number;
}

const mebibyte = 1024 * 1024;
const limit = 32 * mebibyte;
const smallLimit = 24 * mebibyte;
const nodes = 6;
const images = 16;
const day = 24 * 3600 * 1000;

/** Many modelled nodes pull many images through a mirror that is too small for them, while everything goes wrong. */
export class Soak {
  readonly #options: SoakOptions;
  readonly #random: Random;
  readonly #dataDir = tempDir();
  readonly #mirror: SoakMirror;
  readonly #upstreams: FakeRegistry[] = [];
  readonly #images: FixtureImage[] = [];
  readonly #failures: string[] = [];
  readonly #counts = new Map<string, number>();
  readonly #heap: number[] = [];
  #maxSize = limit;
  /** Odd while it is down. */
  #restarts = 0;
  #pulls = 0;
  #disturbed = 0;
  #mostOnDisk = 0;
  #over = false;

  constructor(options: SoakOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#mirror = new SoakMirror(() => this.#config());
  }

  /** Runs it to its end. */
  async run(): Promise<SoakReport> {
    await this.#prepare();
    const before = await this.#mirror.measure();
    const ends = performance.now() + this.#options.duration;
    const half = ends - this.#options.duration / 2;
    const busy = [...Array(nodes).keys()].map((index) => this.#pullOn(new Random(this.#options.seed + index + 1)));
    while (performance.now() < ends) await this.#turn(performance.now() < half);
    this.#over = true;
    await Promise.all(busy);
    const after = await this.#quiet(before);
    await this.#mirror.stop();
    const disk = await disagreements(this.#dataDir);
    for (const upstream of this.#upstreams) await upstream.close();
    rmSync(this.#dataDir, { recursive: true });
    return {
      pulls: this.#pulls,
      disturbed: this.#disturbed,
      failures: this.#failures,
      disturbances: Object.fromEntries(this.#counts),
      mostOnDisk: this.#mostOnDisk,
      limit,
      heap: this.#heap,
      before,
      after,
      disk,
    };
  }

  async #prepare(): Promise<void> {
    for (let count = 0; count < 2; count++) this.#upstreams.push(await FakeRegistry.start());
    for (let index = 0; index < images; index++) this.#push(index);
    await this.#mirror.start();
  }

  #config(): object {
    const endpoints = this.#upstreams.map(({ url }) => url);
    const upstream = { endpoints, insecure: true, stallTimeout: '500ms', tagTtl: '1s', giveUp: '1m' };
    return {
      dataDir: this.#dataDir,
      defaultUpstream: 'up.test',
      upstreams: { 'up.test': upstream },
      cache: { maxSize: `${this.#maxSize / mebibyte}MiB`, minFree: '0%', idleFlight: '2s' },
      watchdog: { timeout: '4s', drip: '400ms' },
      drainTimeout: '5s',
    };
  }

  /** Puts an image of random layers under the tag of this index; what was there is an older version. */
  #push(index: number): void {
    const count = 1 + this.#random.below(6);
    const image = makeImage(...Array.from({ length: count }, () => 1 + this.#random.below(2 * mebibyte)));
    for (const upstream of this.#upstreams) upstream.push(`team/app${index}`, 'v1', image);
    this.#images[index] = image;
  }

  /** One node after the other, each new, pulls one image after the other. */
  async #pullOn(random: Random): Promise<void> {
    while (!this.#over) {
      // Nobody asks a mirror that is down for more than its next start.
      while (this.#isDown) await setTimeout(50);
      const restarts = this.#restarts;
      const node = new CrioNode({ commitRate: 64 * mebibyte, scale: 0.4 });
      const { error } = await node.pull(`${this.#mirror.url}/v2/team/app${random.below(images)}/manifests/v1`);
      if (error === undefined) this.#pulls++;
      else if (restarts !== this.#restarts) this.#disturbed++;
      else this.#failures.push(error);
    }
  }

  /** One more thing goes wrong; then everything is looked at. */
  async #turn(mayRestart: boolean): Promise<void> {
    const disturbance = this.#random.pick(
      mayRestart ? [...this.#disturbances, ...this.#restartings] : this.#disturbances,
    );
    this.#counts.set(disturbance.name, (this.#counts.get(disturbance.name) ?? 0) + 1);
    await disturbance.happen();
    for (let look = 0; look < 4; look++) {
      await setTimeout(250);
      this.#mostOnDisk = Math.max(this.#mostOnDisk, diskBytes(this.#dataDir));
    }
    const { errors, heapBytes } = await this.#mirror.measure();
    this.#failures.push(...errors);
    if (!mayRestart) this.#heap.push(heapBytes);
  }

  get #disturbances(): readonly Disturbance[] {
    return [
      { name: 'faults', happen: () => this.#addFaults() },
      { name: 'faults', happen: () => this.#addFaults() },
      { name: 'moved tags', happen: () => this.#push(this.#random.below(images)) },
      { name: 'clock steps', happen: () => this.#mirror.step((this.#random.next() - 0.5) * 4 * day) },
      { name: 'reloads', happen: () => this.#reload() },
    ];
  }

  get #restartings(): readonly Disturbance[] {
    return [
      { name: 'restarts', happen: () => this.#restart(() => this.#mirror.stop()) },
      { name: 'kills', happen: () => this.#restart(() => this.#mirror.kill()) },
    ];
  }

  #addFaults(): void {
    const { faults } = this.#random.pick(this.#upstreams);
    for (let count = 0; count < 5; count++) faults.push(this.#fault());
    // What has struck is over.
    faults.splice(0, faults.length, ...faults.filter(({ times }) => times > 0).slice(-20));
  }

  #fault(): Fault {
    const offset = this.#random.below(2 * mebibyte);
    return this.#random.pick([
      resetAfter(offset),
      endEarly(offset),
      stallAfter(offset, 3000),
      status(503),
      slow(200_000, { times: 1 }),
    ]);
  }

  get #isDown(): boolean {
    return this.#restarts % 2 === 1;
  }

  #reload(): void {
    this.#maxSize = this.#maxSize === limit ? smallLimit : limit;
    this.#mirror.reconfigure();
  }

  async #restart(end: () => Promise<void>): Promise<void> {
    this.#restarts++;
    await end();
    await this.#mirror.start();
    this.#restarts++;
  }

  /** What it holds when nothing goes on any more; after a while, what it holds by then. */
  async #quiet(before: Holding): Promise<Holding> {
    let holding: Holding = before;
    const isQuiet = async () => {
      holding = await this.#mirror.measure();
      return holding.files <= before.files && holding.timers <= before.timers;
    };
    await until(isQuiet).catch(() => {});
    return holding;
  }
}

/** Something that happens to a mirror. */
interface Disturbance {
  readonly name: string;
  happen(): void | Promise<void>;
}
