import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, type Outcome, run } from './program.ts';
import { tempDir } from './temp.ts';

/** A podman with a store of its own, with nothing in it. */
export class Podman {
  readonly #root = tempDir();
  readonly #conf: string;

  /** @param conf where its registries.conf is */
  constructor(conf: string) {
    this.#conf = conf;
  }

  /** Pulls an image for this machine's architecture. */
  pull(image: string): Promise<Outcome> {
    return attempt(this.#command('pull', '--quiet', image), { env: { CONTAINERS_REGISTRIES_CONF: this.#conf } });
  }

  /** The digest of the manifest that it keeps for an image. */
  async digestOf(image: string): Promise<string> {
    return (await run(this.#command('image', 'inspect', '--format', '{{.Digest}}', image))).trim();
  }

  /** What it keeps of an image, by the hex of its digest: the config, and the layers uncompressed. */
  async contentsOf(image: string): Promise<ReadonlyMap<string, Buffer>> {
    const out = join(tempDir(), 'out');
    await run(this.#command('save', '--quiet', '--format', 'docker-dir', '--output', out, image));
    const names = readdirSync(out).filter((name) => /^[0-9a-f]{64}$/.test(name));
    return new Map(names.map((name) => [name, readFileSync(join(out, name))]));
  }

  #command(...words: readonly string[]): string[] {
    const store = ['--root', join(this.#root, 'root'), '--runroot', join(this.#root, 'run'), '--storage-driver', 'vfs'];
    return ['podman', ...store, '--tmpdir', join(this.#root, 'tmp'), ...words];
  }
}
