import { ConfigError } from '../config/load.ts';
import { programVersion } from '../config/version.ts';
import { nearest } from './nearest.ts';
import { UsageError } from './usage.ts';

/** A command: gets the words behind its name, and returns the exit code. */
type Command = (words: readonly string[]) => Promise<number>;

const commands: Readonly<Record<string, { readonly about: string; readonly load: () => Promise<Command> }>> = {
  serve: { about: 'run the mirror', load: async () => (await import('./serve.ts')).serve },
  healthcheck: {
    about: 'ask the mirror here whether it can serve',
    load: async () => (await import('./healthcheck.ts')).healthcheck,
  },
  check: { about: 'validate the configuration', load: async () => (await import('./check.ts')).check },
  'client-config': {
    about: 'print the files that make a node use the mirror',
    load: async () => (await import('./client-config.ts')).clientConfig,
  },
  doctor: {
    about: 'say what is wrong; doctor image IMAGE: what a watchdog will do to it',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  ls: { about: 'list the images that the cache holds', load: async () => (await import('./ls.ts')).ls },
  rm: { about: 'remove an image from the cache', load: async () => (await import('./rm.ts')).rm },
  pin: { about: 'keep an image, however long it is not used', load: async () => (await import('./pin.ts')).pin },
  unpin: { about: 'let an image go again', load: async () => (await import('./unpin.ts')).unpin },
  verify: { about: 'hash everything that is stored', load: async () => (await import('./verify.ts')).verify },
  warm: { about: 'bring images into the cache', load: async () => (await import('./warm.ts')).warm },
};

/** Runs the command that the words name, and sets the exit code: 0 ok, 1 failed, 2 usage or configuration. */
export async function main(words: readonly string[]): Promise<void> {
  // Who reads the output may have seen enough, as `head` has: that is no failure to tell of.
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
  try {
    process.exitCode = await run(words);
  } catch (error) {
    // Each line of what is wrong with the configuration begins with its place, as editors read it.
    const prefix = error instanceof ConfigError ? '' : 'weir: ';
    process.stderr.write(`${prefix}${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof ConfigError || error instanceof UsageError ? 2 : 1;
  }
}

async function run([name, ...words]: readonly string[]): Promise<number> {
  if (name === '--version') return print(programVersion());
  if (name === undefined || name === '--help' || name === 'help') return print(usage());
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    const near = nearest(name, Object.keys(commands));
    const hint = near === undefined ? 'weir --help lists them' : `did you mean ${near}?`;
    throw new UsageError(`there is no command ${name}; ${hint}`);
  }
  return (await command.load())(words);
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

function usage(): string {
  const rows = Object.entries(commands).map(([name, { about }]) => `  ${name.padEnd(15)}${about}`);
  return [
    'weir: a pull-through caching mirror for container images',
    '',
    'Usage: weir COMMAND [--config FILE]',
    '',
    ...rows,
    '',
    'Each says more with --help. weir --version says which version this is.',
    '',
    'Examples:',
    '  weir serve --config /etc/weir.yaml',
    '  weir client-config crio --mirror mirror.example.com:5000',
    '  weir warm docker.io/library/busybox:1.36',
    '  weir doctor',
  ].join('\n');
}
