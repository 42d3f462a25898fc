import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { digestOf } from '../../src/oci/digest.ts';
import { type ClientAnswer, fetchRaw } from './client.ts';
import {
  always,
  corruptAt,
  endEarly,
  type Fault,
  gzip,
  ignoreRange,
  redirectTo,
  refuse,
  resetAfter,
  slow,
  stallAfter,
  status,
  wrongLength,
  wrongRange,
} from './faults.ts';
import { makeImage } from './images.ts';
import { type Ends, startMirror, type TestMirror } from './mirror.ts';
import { combine } from './pairwise.ts';
import { FakeRegistry } from './registry.ts';

const size = 2_500_000;
const drip = 200;
/** What the longest silence may be beyond a drip. */
const slack = 1500;
/** Rows at a time. */
const lanes = 4;
/** A node that has no other way to a blob: it is kept waiting. */
const agent = 'cri-o/1.31.2';

/** Where a fault strikes: the offset of the byte that is due, and how many requests are answered well before. */
const places = {
  'first byte': { offset: 0, after: 0 },
  '1 MiB': { offset: 1024 * 1024, after: 1 },
  middle: { offset: size / 2, after: 2 },
  'last span': { offset: size - 10, after: 3 },
} as const;

type Only = { readonly only: (path: string) => boolean };
type Place = (typeof places)[keyof typeof places];

/** Faults that have a place in the blob, and those that one request has. */
const offsetFaults: Readonly<Record<string, (place: Place, only: Only) => Fault>> = {
  resetAfter: ({ offset }, only) => resetAfter(offset, only),
  stallAfter: ({ offset }, only) => stallAfter(offset, 60_000, only),
  endEarly: ({ offset }, only) => endEarly(offset, only),
  corruptAt: ({ offset }, only) => corruptAt(offset, { ...only, times: always }),
};
const requestFaults: Readonly<Record<string, (only: Only) => Fault>> = {
  refuse,
  'status 500': (only) => status(500, only),
  'status 429': (only) => status(429, { ...only, retryAfter: '1' }),
  wrongRange,
  wrongLength: (only) => wrongLength(5, only),
  gzip,
  dropAuth: (only) => status(401, only),
  'expired URL': (only) => status(403, only),
};
/** Those that no single answer has. */
const lastingFaults = ['slow', 'expireToken'];

/** One row of the matrix. */
export interface FaultRow extends Readonly<Record<string, string | number | boolean>> {
  readonly fault: string;
  readonly place: keyof typeof places;
  readonly endpoints: number;
  readonly range: boolean;
  readonly client: 'first' | 'late' | 'range';
}

/** What came of a row: nothing to complain about, or what was wrong. */
export interface FaultOutcome {
  readonly row: FaultRow;
  readonly longestGap: number;
  /** Bytes taken from the upstream, as a part of the blob. */
  readonly fetched: number;
  readonly problems: readonly string[];
}

/** Every row that is physically possible: without Range there is one request, so faults of later ones do not occur. */
export function allRows(): FaultRow[] {
  const names = [...Object.keys(offsetFaults), ...Object.keys(requestFaults), ...lastingFaults];
  const rows = combine<FaultRow>({
    fault: names,
    place: Object.keys(places) as FaultRow['place'][],
    endpoints: [1, 2],
    range: [true, false],
    client: ['first', 'late', 'range'],
  });
  return rows.filter(({ fault, range, place }) => range || !(fault in requestFaults) || place === 'first byte');
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
  const upstreams = rows.map((row, index) => {
    const endpoints = serversOf(stage, row).map(({ url }) => url);
    // No silence of a busy machine is taken for a stall, but where stalls are what is looked at.
    const stallTimeout = row.fault === 'stallAfter' ? '1s' : '60s';
    return [`row${index}.test`, { endpoints, insecure: true, privateNetwork: true, stallTimeout }];
  });
  const config = {
    upstreams: Object.fromEntries(upstreams),
    watchdog: { timeout: '1s', drip: `${drip}ms` },
    prefetch: false,
  };
  const mirror = await startMirror(ends, { config });
  const runs = rows.map((row, index) => new RowRun(stage, mirror, row, `row${index}`));
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
  readonly #servers: readonly FakeRegistry[];
  readonly #cdn: FakeRegistry;
  readonly #url: string;
  readonly #problems: string[] = [];
  #longestGap = 0;
  #placed: Fault | undefined;
  /** This process is mirror, upstream and client: when it has to wait for the machine, all are silent. */
  readonly #delays = monitorEventLoopDelay();

  constructor(stage: MatrixStage, mirror: TestMirror, row: FaultRow, name: string) {
    this.#row = row;
    this.#name = name;
    this.#servers = serversOf(stage, row);
    this.#cdn = stage.cdn;
    const image = makeImage(size);
    for (const server of [...this.#servers, stage.cdn]) server.push(`team/${name}`, 'v1', image);
    this.#layer = image.layers[0] ?? Buffer.alloc(0);
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
    const [first] = this.#servers;
    const mine = (path: string) => path.includes(`/team/${this.#name}/blobs/${digestOf(this.#layer)}`);
    let asked = 0;
    const here = places[place];
    const only = (path: string) => mine(path) && asked++ >= here.after;
    if (!range) this.#everywhere(ignoreRange({ only: mine }), this.#cdn);
    if (fault === 'slow') this.#everywhere(slow(1_500_000, { only: mine }));
    const placed = offsetFaults[fault]?.(here, { only: mine });
    this.#placed = placed;
    const requested = requestFaults[fault]?.({ only });
    const striking = fault === 'expired URL' ? this.#cdn : first;
    if (fault === 'expired URL') this.#everywhere(redirectTo(this.#cdn.url, { only: mine }));
    for (const each of [placed, requested]) if (each !== undefined) striking?.faults.push(each);
  }

  #everywhere(fault: Fault, ...more: readonly FakeRegistry[]): void {
    for (const server of [...this.#servers, ...more]) server.faults.push(fault);
  }

  /** All clients of the row, each with what it should have had. */
  async #read(): Promise<{ answer: ClientAnswer; from: number }[]> {
    const { client, fault, place } = this.#row;
    const url = `${this.#url}/blobs/${digestOf(this.#layer)}`;
    const others: Promise<{ answer: ClientAnswer; from: number }>[] = [];
    const join = (from: number) =>
      fetchRaw(url, { headers: { 'user-agent': agent, ...(from === 0 ? {} : { range: `bytes=${from}-` }) } }).then(
        (answer) => ({ answer, from }),
      );
    let revoked = false;
    const answer = await fetchRaw(url, {
      headers: { 'user-agent': agent },
      onBytes: (received) => {
        if (client !== 'first' && others.length === 0) others.push(join(client === 'late' ? 0 : size / 4));
        if (fault === 'expireToken' && !revoked && received > places[place].offset - 100_000) {
          for (const server of this.#servers) server.revokeTokens(`team/${this.#name}`);
          revoked = true;
        }
        return undefined;
      },
    });
    return [{ answer, from: 0 }, ...(await Promise.all(others))];
  }

  #judge(answers: readonly { answer: ClientAnswer; from: number }[]): void {
    for (const { answer, from } of answers) {
      this.#longestGap = Math.max(this.#longestGap, answer.longestGap);
      const right = answer.complete && answer.body.equals(this.#layer.subarray(from));
      if (!right) this.#problems.push(`from ${from}: ${answer.status} ${answer.ending} ${answer.body.length} bytes`);
    }
  }

  /** Nobody has what is wrong to its end. Where one endpoint is right, those who ask later have it. */
  async #runCorrupt(): Promise<void> {
    for (const { answer, from } of await this.#read()) {
      this.#longestGap = Math.max(this.#longestGap, answer.longestGap);
      const wrong = answer.status < 400 && !answer.body.equals(this.#layer.subarray(from));
      if (answer.complete && wrong) this.#problems.push('what is wrong looks complete');
    }
    if (this.#row.endpoints === 1 && this.#placed) Object.assign(this.#placed, { times: 0 });
    const url = `${this.#url}/blobs/${digestOf(this.#layer)}`;
    for (let tries = 0; tries < 100; tries++) {
      if ((await fetchRaw(url, { headers: { 'user-agent': agent } })).body.equals(this.#layer)) return;
      await setTimeout(50);
    }
    this.#problems.push('nobody has it');
  }
}
