import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Program } from './program.ts';
import { tempDir } from './temp.ts';
import { TokenIssuer } from './token-issuer.ts';

/** What may be different about a registry. */
export interface RegistryOptions {
  /** Whether clients need a token. */
  readonly tokens?: boolean;
  /** Default: 127.0.0.1. */
  readonly host?: '127.0.0.1' | '[::1]';
}

/** The reference registry of the distribution project, on a port that the system chose. */
export class DockerRegistry {
  /** Host and port, as in a reference. */
  readonly authority: string;
  readonly #program: Program;
  readonly #issuer: TokenIssuer | undefined;

  private constructor(authority: string, program: Program, issuer: TokenIssuer | undefined) {
    this.authority = authority;
    this.#program = program;
    this.#issuer = issuer;
  }

  /** Starts one on what is in a directory. */
  static async start(
    dir: string,
    { tokens = false, host = '127.0.0.1' }: RegistryOptions = {},
  ): Promise<DockerRegistry> {
    const issuer = tokens ? await TokenIssuer.start() : undefined;
    const file = join(tempDir(), 'config.yml');
    writeFileSync(file, configuration(dir, host, issuer));
    const program = await Program.start(['docker-registry', 'serve', file]);
    let authority: string | undefined;
    await program.ready(() => {
      authority = /listening on ([^\s"]+:\d+)/.exec(program.stdout + program.stderr)?.[1];
      return authority !== undefined;
    });
    return new DockerRegistry(authority ?? '', program, issuer);
  }

  get url(): string {
    return `http://${this.authority}`;
  }

  /** What it was asked for, in order, as `GET /v2/…`. */
  get asked(): readonly string[] {
    return this.#program.stdout.match(/(?<=")(?:GET|HEAD) [^ ?]+/g) ?? [];
  }

  /** The scopes that tokens were asked for, in order. */
  get scopes(): readonly string[] {
    return this.#issuer?.asked ?? [];
  }

  /** Ends it, for good. */
  async stop(): Promise<void> {
    await this.#program.stop();
    await this.#issuer?.close();
  }
}

function configuration(directory: string, host: string, issuer: TokenIssuer | undefined): string {
  const auth = { realm: issuer?.realm, service: 'registry', issuer: 'issuer', rootcertbundle: issuer?.certificateFile };
  return JSON.stringify({
    version: '0.1',
    log: { level: 'info' },
    storage: { filesystem: { rootdirectory: directory } },
    http: { addr: `${host}:0` },
    ...(issuer ? { auth: { token: auth } } : {}),
  });
}
