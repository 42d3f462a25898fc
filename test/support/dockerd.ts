import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf, hexOf } from '../../src/oci/digest.ts';
import { Containerd, containerdPrograms } from './containerd.ts';
import { attempt, type Outcome, Program, run } from './program.ts';
import { tempDir } from './temp.ts';

/** What a dockerd of the tests needs. */
export const dockerPrograms = [...containerdPrograms, 'dockerd', 'docker', 'runc', 'tar'] as const;

/** A Docker daemon of its own, with nothing in it. Its images are in the classic store. */
export class Dockerd {
  readonly #dir: string;
  readonly #containerd: Containerd;
  readonly #program: Program;

  private constructor(dir: string, containerd: Containerd, program: Program) {
    this.#dir = dir;
    this.#containerd = containerd;
    this.#program = program;
  }

  /**
   * Starts one that asks these mirrors, in order, before docker.io. A layer is asked for once, then comes the next.
   * `more`: of a daemon.json.
   */
  static async start(mirrors: readonly string[] = [], more: object = {}): Promise<Dockerd> {
    const containerd = await Containerd.start();
    const dir = tempDir();
    const config = join(dir, 'daemon.json');
    const settings = { 'registry-mirrors': mirrors, 'max-download-attempts': 1, 'storage-driver': 'overlay2' };
    const network = { bridge: 'none', iptables: false, ip6tables: false };
    writeFileSync(config, JSON.stringify({ ...settings, ...network, containerd: containerd.socket, ...more }));
    const places = ['--data-root', join(dir, 'data'), '--exec-root', join(dir, 'exec'), '--pidfile', join(dir, 'pid')];
    const program = await Program.start(['dockerd', '--config-file', config, '--host', hostIn(dir), ...places]);
    const daemon = new Dockerd(dir, containerd, program);
    await program.ready(async () => (await daemon.attempt(['info'])).code === 0);
    return daemon;
  }

  /** Runs `docker` with these words, whatever comes of it. */
  attempt(words: readonly string[]): Promise<Outcome> {
    return attempt(['docker', ...words], { env: { DOCKER_HOST: hostIn(this.#dir) } });
  }

  /** Runs `docker` with these words. @returns what it wrote to stdout. @throws Error when it does not succeed */
  run(words: readonly string[]): Promise<string> {
    return run(['docker', ...words], { env: { DOCKER_HOST: hostIn(this.#dir) } });
  }

  /** What it keeps of an image, by the hex of its digest: the config, and the layers uncompressed. */
  async contents(image: string): Promise<ReadonlyMap<string, Buffer>> {
    const [dir, archive] = [tempDir(), join(tempDir(), 'archive')];
    await this.run(['save', '--output', archive, image]);
    await run(['tar', '--extract', '--file', archive, '--directory', dir]);
    const files = readdirSync(dir, { recursive: true, withFileTypes: true });
    const kept = files.filter(({ name }) => name === 'layer.tar' || /^[0-9a-f]{64}\.json$/.test(name));
    const contents = kept.map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
    return new Map(contents.map((bytes) => [hexOf(digestOf(bytes)), bytes]));
  }

  /** Ends it, and its containerd. */
  async stop(): Promise<void> {
    await this.#program.stop();
    await this.#containerd.stop();
    // It leaves the network namespace of containers mounted, and with that its directory cannot be removed.
    const mounts = readFileSync('/proc/self/mounts', 'utf8').matchAll(/^\S+ (\S+)/gm);
    for (const [, path = ''] of mounts) if (path.startsWith(this.#dir)) await run(['umount', path]);
  }
}

function hostIn(dir: string): string {
  return `unix://${join(dir, 'd.sock')}`;
}
