import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, type Outcome, run } from './program.ts';
import { tempDir } from './temp.ts';

const asItIsStored = { podman: [], buildah: ['--disable-compression'] } as const;

/** A store of podman's or buildah's, with nothing in it. */
export class ContainersStorage {
  readonly #program: 'podman' | 'buildah';
  readonly #root = tempDir();
  readonly #conf: string;

  /** @param conf where its registries.conf is */
  constructor(program: 'podman' | 'buildah', conf: string) {
    this.#program = program;
    this.#conf = conf;
  }

  /** Pulls an image for this machine's architecture. */
  pull(image: string): Promise<Outcome> {
    return attempt(this.#command('pull', '--quiet', image), { env: { CONTAINERS_REGISTRIES_CONF: this.#conf } });
  }

  /** The digest by which it knows its only image. */
  async digest(): Promise<string> {
    return (await run(this.#command('images', '--format', '{{.Digest}}'))).trim();
  }

  /** What it keeps of an image, by the hex of its digest: the config, and the layers uncompressed. */
  async contents(image: string): Promise<ReadonlyMap<string, Buffer>> {
    const out = join(tempDir(), 'out');
    await run(this.#command('push', '--quiet', ...asItIsStored[this.#program], image, `dir:${out}`));
    const names = readdirSync(out).filter((name) => /^[0-9a-f]{64}$/.test(name));
    return new Map(names.map((name) => [name, readFileSync(join(out, name))]));
  }

  #command(...words: readonly string[]): string[] {
    const [root, runRoot] = [join(this.#root, 'root'), join(this.#root, 'run')];
    return [this.#program, '--root', root, '--runroot', runRoot, '--storage-driver', 'vfs', ...words];
  }
}
