import { execFile } from 'node:child_process';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import { SingleFlight } from '../async/singleflight.ts';
import type { Login } from './login.ts';

/** A credential helper failed. Nothing that it printed is in the message. */
export class CredentialHelperError extends Error {
  override readonly name = 'CredentialHelperError';
}

interface Outcome {
  readonly login: Login | undefined;
  readonly error: CredentialHelperError | undefined;
  /** Monotonic milliseconds. */
  readonly since: number;
}

const patience = 5000;
const maxOutput = 256 * 1024;
/** Milliseconds for which an answer is used again; how long a failure is, and a login that was refused. */
const life = 5 * 60_000;
const shortLife = 5000;

/**
 * Asks the programs that keep credentials for Docker: `docker-credential-<name> get` with the key on its input. Each
 * run is a process, so that answers are kept for some minutes.
 */
export class CredentialHelpers {
  readonly #clock: Clock;
  readonly #outcomes = new LRUCache<string, Outcome>({ max: 1000 });
  readonly #runs = new SingleFlight<Outcome>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns `undefined` where the helper knows no login for this key. @throws CredentialHelperError */
  async login(helper: string, key: string): Promise<Login | undefined> {
    const id = `${helper} ${key}`;
    const outcome = this.#fresh(id) ?? (await this.#runs.run(id, () => this.#ask(id, helper, key)));
    if (outcome.error !== undefined) throw outcome.error;
    return outcome.login;
  }

  /** A login was refused: whoever gave it is asked again, where that was not just now. */
  refused(login: Login): void {
    for (const [id, outcome] of this.#outcomes) {
      if (outcome.login === login && this.#ageOf(outcome) >= shortLife) this.#outcomes.delete(id);
    }
  }

  #fresh(id: string): Outcome | undefined {
    const outcome = this.#outcomes.get(id);
    return outcome && this.#ageOf(outcome) < (outcome.error ? shortLife : life) ? outcome : undefined;
  }

  #ageOf({ since }: Outcome): number {
    return this.#clock.now() - since;
  }

  async #ask(id: string, helper: string, key: string): Promise<Outcome> {
    const program = `docker-credential-${helper}`;
    const outcome: Outcome = { ...(await run(program, key, this.#clock)), since: this.#clock.now() };
    this.#outcomes.set(id, outcome);
    return outcome;
  }
}

/** Runs the program without a shell, with bounds on its time and its output. */
function run(program: string, key: string, clock: Clock): Promise<Pick<Outcome, 'login' | 'error'>> {
  const failed = (why: string) => ({ login: undefined, error: new CredentialHelperError(`${program} ${why}`) });
  const deadline = new Deadline(clock, () => new CredentialHelperError(`${program} is silent`));
  deadline.set(patience);
  const options = { signal: deadline.signal, killSignal: 'SIGKILL', maxBuffer: maxOutput, encoding: 'utf8' } as const;
  return new Promise((resolve) => {
    const child = execFile(program, ['get'], options, (error, output) => {
      deadline.clear();
      if (error === null) return resolve(readAnswer(output) ?? failed('gave an answer that is none'));
      // The protocol has no other sign for "there is none" than this text.
      if (/credentials not found/i.test(output)) return resolve({ login: undefined, error: undefined });
      resolve(failed(deadline.signal.aborted ? 'is silent' : `failed (${error.code ?? error.signal ?? error.name})`));
    });
    // A program that ends without reading its input is no error of ours.
    child.stdin?.on('error', () => {});
    child.stdin?.end(key);
  });
}

/** `{"Username", "Secret"}`; the name `<token>` means that the secret is an identity token. */
function readAnswer(output: string): Pick<Outcome, 'login' | 'error'> | undefined {
  const { Username: username, Secret: secret } = parseAnswer(output);
  if (typeof username !== 'string' || typeof secret !== 'string') return undefined;
  return { login: loginOf(username, secret), error: undefined };
}

function loginOf(username: string, secret: string): Login | undefined {
  if (secret === '') return undefined;
  const isToken = username === '<token>' || username === '';
  return {
    account: isToken ? undefined : { username, password: secret },
    identityToken: isToken ? secret : undefined,
    registryToken: undefined,
  };
}

function parseAnswer(output: string): { readonly Username?: unknown; readonly Secret?: unknown } {
  try {
    const json: unknown = JSON.parse(output);
    return typeof json === 'object' && json !== null ? json : {};
  } catch {
    return {};
  }
}
