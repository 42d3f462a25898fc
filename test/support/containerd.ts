import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, type Outcome, Program } from './program.ts';
import { tempDir } from './temp.ts';

/** What a containerd of the tests needs. */
export const containerdPrograms = ['containerd', 'ctr'] as const;

/** Where containerd looks for docker.io, in order. */
export interface Hosts {
  /** URLs of mirrors, asked first. */
  readonly mirrors: readonly string[];
  /** URL of the registry itself, asked last. Default: one where nobody listens. */
  readonly server?: string;
}

const withoutPlugins = ['grpc.v1.cri', 'snapshotter.v1.btrfs', 'snapshotter.v1.zfs', 'snapshotter.v1.devmapper'];

/** A containerd of its own, with nothing in it. */
export class Containerd {
  /** Where its socket is. */
  readonly socket: string;
  readonly #dir: string;
  readonly #program: Program;

  private constructor(dir: string, socket: string, program: Program) {
    this.#dir = dir;
    this.socket = socket;
    this.#program = program;
  }

  static async start(): Promise<Containerd> {
    const dir = tempDir();
    const socket = join(dir, 'c.sock');
    const config = join(dir, 'config.toml');
    writeFileSync(config, configuration(dir, socket));
    const program = await Program.start(['containerd', '--config', config]);
    await program.ready(async () => (await attempt(['ctr', '--address', socket, 'version'])).code === 0);
    return new Containerd(dir, socket, program);
  }

  /** Pulls an image of docker.io for all its architectures. */
  pull({ mirrors, server = 'http://127.0.0.1:1' }: Hosts, image: string): Promise<Outcome> {
    const hosts = join(tempDir(), 'certs.d');
    mkdirSync(join(hosts, 'docker.io'), { recursive: true });
    const tables = mirrors.map((url) => `[host."${url}"]\ncapabilities = ["pull", "resolve"]\n`);
    writeFileSync(join(hosts, 'docker.io', 'hosts.toml'), `server = "${server}"\n[host]\n${tables.join('')}`);
    return this.pullBy(hosts, image);
  }

  /** The same, by what is in a directory like `/etc/containerd/certs.d`. */
  pullBy(hostsDir: string, image: string): Promise<Outcome> {
    const words = ['images', 'pull', '--hosts-dir', hostsDir, '--all-platforms', `docker.io/${image}`];
    return attempt(['ctr', '--address', this.socket, ...words]);
  }

  /** Where it keeps content, in files named by digest. */
  get contentDir(): string {
    return join(this.#dir, 'root', 'io.containerd.content.v1.content', 'blobs');
  }

  /** Ends it. */
  async stop(): Promise<void> {
    await this.#program.stop();
  }
}

function configuration(dir: string, socket: string): string {
  return `version = 2
root = "${join(dir, 'root')}"
state = "${join(dir, 'state')}"
disabled_plugins = [${withoutPlugins.map((name) => `"io.containerd.${name}"`).join(', ')}]
[grpc]
address = "${socket}"
[ttrpc]
address = "${socket}.ttrpc"
`;
}
