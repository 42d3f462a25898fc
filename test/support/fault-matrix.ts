import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { type ClientAnswer, fetchRaw } from './client.ts';
import { type FaultRow, offsetFaults, often, places, requestFaults, size } from './fault-rows.ts';
import { type Fault, ignoreRange, redirectTo, slow, status } from './faults.ts';
import { makeImage } from './images.ts';
import { type Ends, startMirror, type TestMirror } from './mirror.ts';
import { FakeRegistry } from './registry.ts';
import { until } from './until.ts';

const drip = 200;
/** What the longest silence may be beyond a drip. */
const slack = 1500;
/** Rows at a time. */
const lanes = 4;
/** Milliseconds after which a silent upstream has stalled, where stalls are what is looked at. */
const stallTimeout = 1000;
/** Milliseconds that faults may take by themselves, before a first byte. */
const inherent: Readonly<Record<string, number>> = { stallAfter: stallTimeout, 'status 429': 1000 };
/** Runs before the others: what a process does for the first time takes its time. */
const warmUp: FaultRow = { fault: 'resetAfter', place: 'middle', endpoints: 1, range: true, client: 'late' };
/** Milliseconds between two looks at whether the process is held up. */
const resolution = 10;
/** A node that has no other way to a blob: it is kept waiting. */
const agent = 'cri-o/1.31.2';

/** What came of a row: nothing to complain about, or what was wrong. */
export interface FaultOutcome {
  readonly row: FaultRow;
  readonly longestGap: number;
  /** Bytes taken from the upstream, as a part of the blob. */
  readonly fetched: number;
  readonly problems: readonly string[];
}

/** Runs rows through one mirror, in which each has an upstream of its own. */
export async function runRows(ends: Ends, rows: readonly FaultRow[]): Promise<FaultOutcome[]> {
  const start = async () => {
    const registry = await FakeRegistry.start();
    ends.after(() => registry.close());
    return registry;
  };
  const plain = [await start(), await start()];
  const locked = [await start(), await start()];
  for (const registry of locked) registry.requireTokens();
  const stage = { plain, locked, cdn: await start() };
  const all = [warmUp, ...rows];
  const upstreams = all.map((row, index) => {
    const endpoints = serversOf(stage, row).map(({ url }) => url);
    // No silence of a busy machine is taken for a stall, but where stalls are what is looked at.
    const timeout = row.fault === 'stallAfter' ? `${stallTimeout}ms` : '60s';
    return [`row${index}.test`, { endpoints, insecure: true, privateNetwork: true, stallTimeout: timeout }];
  });
  const config = {
    upstreams: Object.fromEntries(upstreams),
    watchdog: { timeout: '1s', drip: `${drip}ms` },
    prefetch: false,
  };
  const mirror = await startMirror(ends, { config });
  const [first, ...runs] = all.map((row, index) => new RowRun(stage, mirror, row, `row${index}`));
  await first?.run();
  const queue = [...runs];
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await next.run();
  };
  await Promise.all(Array.from({ length: lanes }, work));
  const metrics = await mirror.metrics();
  return runs.map((run) => run.outcome(metrics));
}

interface MatrixStage {
  readonly plain: readonly FakeRegistry[];
  readonly locked: readonly FakeRegistry[];
  readonly cdn: FakeRegistry;
}

function serversOf({ plain, locked }: MatrixStage, { fault, endpoints }: FaultRow): readonly FakeRegistry[] {
  return (fault === 'dropAuth' || fault === 'expireToken' ? locked : plain).slice(0, endpoints);
}

class RowRun {
  readonly #row: FaultRow;
  readonly #name: string;
  readonly #layer: Buffer;
  readonly #digest: Digest;
  readonly #servers: readonly FakeRegistry[];
  readonly #cdn: FakeRegistry;
  readonly #url: string;
  readonly #problems: string[] = [];
  #longestGap = 0;
  #longestWait = 0;
  /** What strikes, and how often it may. */
  #placed: { readonly fault: Fault; readonly times: number } | undefined;
  /** How many tokens were given out when those that were out became worth nothing. */
  #tokens: number | undefined;
  /** This process is mirror, upstream and client: when it has to wait for the machine, all are silent. */
  readonly #delays = monitorEventLoopDelay({ resolution });

  constructor(stage: MatrixStage, mirror: TestMirror, row: FaultRow, name: string) {
    this.#row = row;
    this.#name = name;
    this.#servers = serversOf(stage, row);
    this.#cdn = stage.cdn;
    const image = makeImage(size);
    for (const server of [...this.#servers, stage.cdn]) server.push(`team/${name}`, 'v1', image);
    this.#layer = image.layers[0] ?? Buffer.alloc(0);
    this.#digest = digestOf(this.#layer);
    this.#url = `${mirror.url}/v2/${name}.test/team/${name}`;
  }

  async run(): Promise<void> {
    this.#delays.enable();
    this.#prepare();
    const manifest = await fetchRaw(`${this.#url}/manifests/v1`);
    if (manifest.status !== 200) this.#problems.push(`the manifest: ${manifest.status}`);
    if (this.#row.fault === 'corruptAt') await this.#runCorrupt();
    else this.#judge(await this.#read());
    this.#delays.disable();
    const patience = drip + slack + this.#delays.max / 1e6;
    if (this.#longestGap >= patience) this.#problems.push(`silent for ${Math.round(this.#longestGap)} ms`);
    // A first byte takes many steps, each of which may have to wait.
    const heldUp = this.#delays.count * Math.max(0, this.#delays.mean / 1e6 - resolution);
    if (this.#longestWait >= patience + heldUp + (inherent[this.#row.fault] ?? 0))
      this.#problems.push(`silent for ${Math.round(this.#longestWait)} ms before the first byte`);
    if (!this.#struck()) this.#problems.push('the fault did not strike');
  }

  /** What came of it, and what it took of the upstream, as these metrics say. */
  outcome(metrics: string): FaultOutcome {
    const line = new RegExp(`^weir_upstream_bytes_total\\{upstream="${this.#name}\\.test",.*\\} (\\d+)$`, 'gm');
    const fetched = [...metrics.matchAll(line)].reduce((sum, [, bytes]) => sum + Number(bytes), 0) / size;
    const limit = this.#row.range ? 1.2 : 2.2;
    // What is corrupt is fetched anew.
    const excess = this.#row.fault !== 'corruptAt' && fetched > limit;
    const problems = [...this.#problems, ...(excess ? [`${fetched.toFixed(2)} × the blob`] : [])];
    return { row: this.#row, longestGap: this.#longestGap, fetched, problems };
  }

  /** The first endpoint does wrong; the second one, where there is one, is well. */
  #prepare(): void {
    const { fault, range, place } = this.#row;
    const mine = (path: string) => this.#isMine(path);
    let asked = 0;
    const here = places[place];
    const only = (path: string) => mine(path) && asked++ >= here.after;
    if (!range) this.#everywhere(ignoreRange({ only: mine }), this.#cdn);
    if (fault === 'expired URL') this.#everywhere(redirectTo(this.#cdn.url, { only: mine }));
    const striking = fault === 'expired URL' ? this.#cdn : this.#servers[0];
    const placed =
      fault === 'slow'
        ? slow(1_500_000, { only: mine, times: often })
        : fault === 'expireToken'
          ? status(401, { only: (path) => only(path) && this.#revokeTokens() })
          : (offsetFaults[fault]?.(here, { only: mine }) ?? requestFaults[fault]?.({ only }));
    if (placed === undefined) return;
    this.#placed = { fault: placed, times: placed.times };
    if (fault === 'slow') this.#everywhere(placed);
    else striking?.faults.push(placed);
  }

  #isMine(path: string): boolean {
    return path.includes(`/team/${this.#name}/blobs/${this.#digest}`);
  }

  /** Once, just before a request is looked at. @returns `false`: it is the registry that refuses that, as it always does. */
  #revokeTokens(): false {
    if (this.#tokens !== undefined) return false;
    this.#tokens = this.#tokensGiven();
    for (const server of this.#servers) server.revokeTokens(`team/${this.#name}`);
    return false;
  }

  #tokensGiven(): number {
    const scope = `repository:team/${this.#name}:pull`;
    return this.#servers
      .flatMap(({ tokenAsks }) => tokenAsks)
      .filter(({ params }) => params.getAll('scope').includes(scope)).length;
  }

  #struck(): boolean {
    if (this.#row.fault === 'expireToken') return this.#tokens !== undefined && this.#tokensGiven() > this.#tokens;
    return this.#placed !== undefined && this.#placed.fault.times < this.#placed.times;
  }

  #everywhere(fault: Fault, ...more: readonly FakeRegistry[]): void {
    for (const server of [...this.#servers, ...more]) server.faults.push(fault);
  }

  /** All clients of the row, each with what it should have had. */
  async #read(): Promise<{ answer: ClientAnswer; from: number }[]> {
    const { client, place } = this.#row;
    const url = `${this.#url}/blobs/${this.#digest}`;
    const others: Promise<{ answer: ClientAnswer; from: number }>[] = [];
    const join = (from: number) =>
      fetchRaw(url, { headers: { 'user-agent': agent, ...(from === 0 ? {} : { range: `bytes=${from}-` }) } }).then(
        (answer) => ({ answer, from }),
      );
    const joinOnce = () => {
      if (client !== 'first' && others.length === 0) others.push(join(client === 'late' ? 0 : size / 4));
      return undefined;
    };
    const answering = fetchRaw(url, { headers: { 'user-agent': agent }, onBytes: joinOnce });
    // With the first byte, what happens there is over.
    if (place === 'first byte') {
      await until(() => this.#servers.some(({ seen }) => seen.some(({ path }) => this.#isMine(path))));
      joinOnce();
    }
    const answer = await answering;
    return [{ answer, from: 0 }, ...(await Promise.all(others))];
  }

  #note({ longestGap, firstByte }: ClientAnswer): void {
    this.#longestGap = Math.max(this.#longestGap, longestGap);
    this.#longestWait = Math.max(this.#longestWait, firstByte);
  }

  #judge(answers: readonly { answer: ClientAnswer; from: number }[]): void {
    for (const { answer, from } of answers) {
      this.#note(answer);
      const right = answer.complete && answer.body.equals(this.#layer.subarray(from));
      if (!right) this.#problems.push(`from ${from}: ${answer.status} ${answer.ending} ${answer.body.length} bytes`);
    }
  }

  /** Nobody has what is wrong to its end. Where one endpoint is right, those who ask later have it. */
  async #runCorrupt(): Promise<void> {
    for (const { answer, from } of await this.#read()) {
      this.#note(answer);
      const wrong = answer.status < 400 && !answer.body.equals(this.#layer.subarray(from));
      if (answer.complete && wrong) this.#problems.push('what is wrong looks complete');
    }
    if (this.#row.endpoints === 1 && this.#placed) Object.assign(this.#placed.fault, { times: 0 });
    const url = `${this.#url}/blobs/${this.#digest}`;
    for (let tries = 0; tries < 100; tries++) {
      if ((await fetchRaw(url, { headers: { 'user-agent': agent } })).body.equals(this.#layer)) return;
      await setTimeout(50);
    }
    this.#problems.push('nobody has it');
  }
}
