import { runImageCommand } from './image-command.ts';

const help = `Usage: weir rm IMAGE [--config FILE] [--admin URL] [--json]

Removes an image from the cache, with all of it that no other image has.

Examples:
  weir rm docker.io/library/busybox:1.36
  weir rm quay.io/team/app@sha256:… --admin http://127.0.0.1:5001
`;

/** `weir rm`. @throws UsageError, ConfigError, NotRunningError; Error with what the mirror said */
export function rm(words: readonly string[]): Promise<number> {
  return runImageCommand(
    { help, done: 'was removed', act: (client, image) => client.call('DELETE', `images/${image}`) },
    words,
  );
}
