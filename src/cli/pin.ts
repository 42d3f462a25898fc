import { runImageCommand } from './image-command.ts';

const help = `Usage: weir pin IMAGE [--config FILE] [--admin URL] [--json]

Keeps an image in the cache, however long it is not used; one that is not there yet, from when it comes.

Examples:
  weir pin registry.k8s.io/pause:3.10
  weir pin quay.io/team/app@sha256:… --admin http://127.0.0.1:5001
`;

/** `weir pin`. @throws UsageError, ConfigError, NotRunningError; Error with what the mirror said */
export function pin(words: readonly string[]): Promise<number> {
  return runImageCommand(
    { help, done: 'is pinned', act: (client, image) => client.call('POST', 'pins', { image }) },
    words,
  );
}
