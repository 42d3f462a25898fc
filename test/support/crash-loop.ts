import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { SqliteCatalog } from '../../src/catalog/sqlite.ts';
import { digestOf, isDigest } from '../../src/oci/digest.ts';
import { fetchRaw } from './client.ts';
import { slow } from './faults.ts';
import { makeImage } from './images.ts';
import { upstreamConfig } from './mirror.ts';
import { Program } from './program.ts';
import { Random } from './random.ts';
import { FakeRegistry } from './registry.ts';
import { tempDir } from './temp.ts';

const entry = join(import.meta.dirname, '../../src/weir.js');
/** Large enough for many spans. */
const layerSize = 6_000_000;
/** Milliseconds that a pull takes: what has arrived is recorded every 2 s. */
const pullTime = 3000;

/** What a crash loop has seen. */
export interface CrashReport {
  readonly rounds: number;
  /** Pulls that a kill has cut. */
  readonly cut: number;
  /** Pulls that came to their end. */
  readonly whole: number;
  /** Answers with wrong bytes, and stored blobs that are not what their name says: there must be none. */
  readonly corrupt: number;
  /** Files that lay there after a start without a record: there must be none. */
  readonly orphans: number;
  /** Bytes taken from the upstream, as a part of the blobs that were asked for. */
  readonly fetched: number;
}

/** A mirror in a process of its own. */
export interface MirrorProgram {
  readonly program: Program;
  readonly url: string;
}

/** Starts the program on this data directory. */
export async function startProgram(dataDir: string, upstream: object): Promise<MirrorProgram> {
  const file = join(tempDir(), 'weir.yaml');
  writeFileSync(file, JSON.stringify({ listen: '127.0.0.1:0', admin: '127.0.0.1:0', dataDir, ...upstream }));
  // Started so often, it should start fast.
  const env = { NODE_COMPILE_CACHE: join(tmpdir(), 'weir-compile-cache') };
  const program = await Program.start([process.execPath, entry, 'serve', '--config', file], { env });
  await program.ready(() => program.stdout.includes('"listening"'));
  const line = program.stdout.split('\n').find((each) => each.includes('"listening"')) ?? '';
  return { program, url: `http://127.0.0.1:${JSON.parse(line).listen[0].port}` };
}

/** Ends it as a power cut does, as far as a process can tell. */
export async function kill({ program }: MirrorProgram): Promise<void> {
  process.kill(program.pid, 'SIGKILL');
  await program.outcome();
}

/** Kills a mirror at random points of pulls, again and again, on the same data directory, and looks at what it leaves. */
export class CrashLoop {
  readonly #random: Random;
  readonly #upstream: FakeRegistry;
  readonly #dataDir = tempDir();
  #rounds = 0;
  #cut = 0;
  #whole = 0;
  #corrupt = 0;
  #orphans = 0;
  /** The layer of the round before, if it was cut. */
  #unfinished: Buffer | undefined;

  private constructor(upstream: FakeRegistry, seed: number) {
    this.#upstream = upstream;
    this.#random = new Random(seed);
  }

  /** Runs so many rounds. */
  static async run(rounds: number, seed: number): Promise<CrashReport> {
    const upstream = await FakeRegistry.start();
    upstream.faults.push(slow(layerSize / (pullTime / 1000)));
    const loop = new CrashLoop(upstream, seed);
    try {
      // What one process has compiled is there for the others only once it has ended by itself.
      await (await startProgram(tempDir(), {})).program.stop();
      while (loop.#rounds < rounds) await loop.#round();
      return loop.#report();
    } finally {
      await upstream.close();
    }
  }

  #report(): CrashReport {
    const fetched = this.#upstream.blobBytes / (this.#rounds * layerSize);
    const [rounds, cut, whole] = [this.#rounds, this.#cut, this.#whole];
    return { rounds, cut, whole, corrupt: this.#corrupt, orphans: this.#orphans, fetched };
  }

  /** A new process: it is asked for a new layer, and for the rest of what the one before has left. Then it is killed. */
  async #round(): Promise<void> {
    const tag = `v${this.#rounds++}`;
    const image = makeImage(layerSize);
    this.#upstream.push('team/app', tag, image);
    const mirror = await startProgram(this.#dataDir, upstreamConfig(this.#upstream.url, { connections: 1 }));
    const [layer = Buffer.alloc(0)] = image.layers;
    const left = this.#files();
    const pulls = [this.#pull(mirror.url, tag, layer)];
    if (this.#unfinished) pulls.push(this.#resume(mirror.url, this.#unfinished));
    await Promise.race([setTimeout(this.#random.below(1.3 * pullTime)), Promise.all(pulls)]);
    await kill(mirror);
    const [whole] = await Promise.all(pulls);
    this.#unfinished = whole ? undefined : layer;
    this.#inspect(left);
  }

  async #pull(url: string, tag: string, layer: Buffer): Promise<boolean> {
    const manifest = await fetchRaw(`${url}/v2/team/app/manifests/${tag}`).catch(() => undefined);
    return manifest?.status === 200 && this.#ask(url, layer, 0);
  }

  async #resume(url: string, layer: Buffer): Promise<boolean> {
    return this.#ask(url, layer, this.#random.below(layer.length));
  }

  async #ask(url: string, layer: Buffer, from: number): Promise<boolean> {
    const headers: Record<string, string> = from === 0 ? {} : { range: `bytes=${from}-` };
    const answer = await fetchRaw(`${url}/v2/team/app/blobs/${digestOf(layer)}`, { headers }).catch(() => undefined);
    // The connection may be cut before there is an answer, and the manifest may not have come in the round before.
    if (answer === undefined || answer.status >= 400) return false;
    const expected = layer.subarray(from, from + answer.body.length);
    if (!answer.body.equals(expected) || (answer.complete && from + answer.body.length < layer.length)) this.#corrupt++;
    if (answer.complete) this.#whole++;
    else this.#cut++;
    return answer.complete;
  }

  /** What lies in the cache. */
  #files(): string[] {
    const names = readdirSync(this.#dataDir, { recursive: true, withFileTypes: true });
    return names
      .filter((each) => each.isFile() && /\/(?:blobs|ingest)(?:\/|$)/.test(each.parentPath))
      .map(({ parentPath, name }) => join(parentPath, name));
  }

  #inspect(left: readonly string[]): void {
    const catalog = new SqliteCatalog(join(this.#dataDir, 'catalog.db'));
    const partials = new Set(catalog.partials.list().map(({ name }) => name));
    for (const path of this.#files()) {
      const name = path.split('/').at(-1) ?? '';
      const digest = `sha256:${name}`;
      const known = isDigest(digest) ? catalog.blobs.find(digest) !== undefined : partials.has(name);
      if (left.includes(path) && !known) this.#orphans++;
      if (isDigest(digest) && digestOf(readFileSync(path)) !== digest) this.#corrupt++;
    }
    catalog.close();
  }
}
