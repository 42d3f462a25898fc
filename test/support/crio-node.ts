import { createHash } from 'node:crypto';
import { Agent } from 'node:http';
import { type Digest, isDigest } from '../../src/oci/digest.ts';
import { type Descriptor, type Manifest, parseManifest } from '../../src/oci/manifest.ts';
import { type BodyRequest, open, PullError, readBlob } from './crio-body.ts';
import { CommitWorker, Silence, Watchdog } from './crio-progress.ts';

/** What a node is like. */
export interface NodeSettings {
  /** Compressed bytes that it unpacks per real second. */
  readonly commitRate: number;
  /** Milliseconds without progress after which it cancels, before scaling; `undefined`: never. Default: 10,000. */
  readonly watchdog?: number | undefined;
  /** Real milliseconds for one of the node's: 0.1 makes its watchdog bite after 1 s. Default: 1. */
  readonly scale?: number;
  /** Default: a CRI-O whose watchdog cannot be turned off. */
  readonly userAgent?: string;
  /** Told of the bytes of layers as they come. */
  readonly progress?: (bytes: number) => void;
}

/** How a pull went. Milliseconds are real. */
export interface NodePull {
  /** What the runtime reports; `undefined`: the image is there. */
  readonly error: string | undefined;
  readonly ms: number;
  /** The longest time without a byte while a layer was being downloaded. */
  readonly longestGap: number;
  /** Whether the watchdog has cancelled it. */
  readonly cancelled: boolean;
}

const slots = 6;
const crio = 'cri-o/1.31.2 go/go1.22.12 os/linux arch/amd64';
const accept = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.index.v1+json',
];

/** A modelled node with CRI-O, with its watchdog. It keeps the layers that it has unpacked. */
export class CrioNode {
  readonly #settings: NodeSettings;
  readonly #layers = new Set<Digest>();

  constructor(settings: NodeSettings) {
    this.#settings = settings;
  }

  /** The layers that it has unpacked. They may be added to, or taken away. */
  get layers(): Set<Digest> {
    return this.#layers;
  }

  /** Pulls the image whose manifest (or index) is at this URL. */
  async pull(manifestUrl: string): Promise<NodePull> {
    const startedAt = performance.now();
    const pull = new Pull(this.#settings, this.#layers, manifestUrl);
    let error: string | undefined;
    try {
      await pull.run();
    } catch (cause) {
      if (!(cause instanceof PullError)) throw cause;
      error = cause.message;
    } finally {
      pull.close();
    }
    const { cancelled, longestGap } = pull;
    return { error, ms: performance.now() - startedAt, longestGap, cancelled };
  }
}

/** One pull, as copy/single.go of containers/image makes it. */
class Pull {
  readonly #settings: NodeSettings;
  readonly #scale: number;
  readonly #url: string;
  readonly #repository: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #watchdog: Watchdog;
  readonly #commits: CommitWorker;
  readonly #silence = new Silence();

  constructor(settings: NodeSettings, layers: Set<Digest>, manifestUrl: string) {
    const { scale = 1, commitRate } = settings;
    const { watchdog: timeout } = { watchdog: 10_000, ...settings };
    this.#settings = settings;
    this.#scale = scale;
    this.#url = manifestUrl;
    this.#repository = manifestUrl.replace(/\/manifests\/[^/]+$/, '');
    this.#watchdog = new Watchdog(timeout === undefined ? undefined : timeout * scale);
    this.#commits = new CommitWorker(layers, commitRate);
  }

  get cancelled(): boolean {
    return this.#watchdog.signal.aborted;
  }

  get longestGap(): number {
    return this.#silence.longest;
  }

  async run(): Promise<void> {
    await this.#get(new URL('/v2/', this.#url).href);
    const top = await this.#manifest(this.#url);
    if (top.manifests.length === 0) return this.#copyImage(top);
    try {
      // The platform of the node is the first of the index.
      const [instance] = top.manifests;
      await this.#copyImage(await this.#manifest(`${this.#repository}/manifests/${instance?.digest}`));
    } catch (error) {
      throw within('copying system image from manifest list', error);
    }
  }

  close(): void {
    this.#watchdog.stop();
    this.#agent.destroy();
  }

  async #copyImage({ blobs, layers }: Manifest): Promise<void> {
    for (const config of blobs.slice(0, blobs.length - layers.length)) {
      verify(config, await this.#get(`${this.#repository}/blobs/${config.digest}`));
    }
    await this.#copyLayers(layers);
    if (this.#watchdog.signal.aborted) throw new PullError('copying config: context canceled');
  }

  /** Up to six at a time, begun in order. All that have begun are awaited, and the error of the lowest one counts. */
  async #copyLayers(layers: readonly Descriptor[]): Promise<void> {
    const copies: Promise<PullError | undefined>[] = [];
    const busy = new Set<Promise<unknown>>();
    let cancelled = false;
    for (const [index, layer] of layers.entries()) {
      while (busy.size >= slots && !this.#watchdog.signal.aborted)
        await Promise.race([...busy, this.#watchdog.cancelled]);
      cancelled = this.#watchdog.signal.aborted;
      if (cancelled) break;
      const copy = this.#copyLayer(index, layer).then(() => undefined, asPullError);
      copies.push(copy);
      busy.add(copy);
      void copy.then(() => busy.delete(copy));
    }
    const failures = await Promise.all(copies);
    if (cancelled) throw new PullError('copying layer: context canceled');
    const failure = failures.find((each) => each !== undefined);
    if (failure) throw failure;
  }

  /** The worker of one download slot: copy/blob.go, storage_dest.go. */
  async #copyLayer(index: number, layer: Descriptor): Promise<void> {
    if (this.#commits.has(layer)) {
      this.#watchdog.event();
      return this.#commits.queueOrCommit(index, layer);
    }
    this.#silence.opened();
    try {
      await this.#download(layer);
    } catch (error) {
      throw within(`reading blob ${layer.digest}`, error);
    } finally {
      this.#silence.closed();
    }
    await this.#commits.queueOrCommit(index, layer);
    this.#watchdog.event();
  }

  async #download(layer: Descriptor): Promise<void> {
    const hash = createHash(layer.digest.startsWith('sha512') ? 'sha512' : 'sha256');
    const interval = this.#watchdog.timeout / 10;
    let received = 0;
    let eventAt: number | undefined;
    for await (const chunk of readBlob(this.#request(`${this.#repository}/blobs/${layer.digest}`))) {
      this.#silence.bytes();
      hash.update(chunk);
      received += chunk.length;
      this.#settings.progress?.(chunk.length);
      const now = performance.now();
      const due = eventAt === undefined ? received >= 8 : now - eventAt > interval;
      if (!due) continue;
      eventAt = now;
      this.#watchdog.event();
    }
    if (eventAt === undefined) this.#watchdog.event();
    verifyDigest(layer, `${layer.digest.split(':', 1)[0]}:${hash.digest('hex')}`, received);
  }

  async #manifest(url: string): Promise<Manifest> {
    const response = await open(this.#request(url, { accept: accept.join(', ') }));
    if (response.statusCode !== 200) {
      response.resume();
      throw new PullError(`reading manifest: status ${response.statusCode}`);
    }
    const bytes = await collect(response);
    const reference = url.slice(url.lastIndexOf('/') + 1);
    if (isDigest(reference)) verify({ digest: reference, size: bytes.length }, bytes);
    return parseManifest(bytes, response.headers['content-type']);
  }

  async #get(url: string): Promise<Buffer> {
    const response = await open(this.#request(url));
    const bytes = await collect(response);
    if (response.statusCode !== 200) throw new PullError(`Get "${url}": status ${response.statusCode}`);
    return bytes;
  }

  #request(url: string, more: Readonly<Record<string, string>> = {}): BodyRequest {
    const headers = { 'user-agent': this.#settings.userAgent ?? crio, 'accept-encoding': 'gzip', ...more };
    return { url, agent: this.#agent, headers, scale: this.#scale, signal: this.#watchdog.signal };
  }
}

async function collect(response: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk);
  } catch {
    throw new PullError('unexpected EOF');
  }
  return Buffer.concat(chunks);
}

function verify(expected: Pick<Descriptor, 'digest' | 'size'>, bytes: Buffer): void {
  const algorithm = expected.digest.split(':', 1)[0] ?? '';
  verifyDigest(expected, `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`, bytes.length);
}

function verifyDigest({ digest, size }: Pick<Descriptor, 'digest' | 'size'>, actual: string, received: number): void {
  if (actual !== digest) throw new PullError(`Digest did not match, expected ${digest}, got ${actual}`);
  if (received !== size) throw new PullError(`blob size mismatch: ${received} instead of ${size}`);
}

function asPullError(error: unknown): PullError {
  if (error instanceof PullError) return error;
  throw error;
}

function within(what: string, error: unknown): PullError {
  return new PullError(`${what}: ${asPullError(error).message}`);
}
