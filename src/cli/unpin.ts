import { runImageCommand } from './image-command.ts';

const help = `Usage: weir unpin IMAGE [--config FILE] [--admin URL] [--json]

Lets a pinned image go again when there is need of room.

Examples:
  weir unpin registry.k8s.io/pause:3.10
  weir unpin quay.io/team/app@sha256:… --admin http://127.0.0.1:5001
`;

/** `weir unpin`. @throws UsageError, ConfigError, NotRunningError; Error with what the mirror said */
export function unpin(words: readonly string[]): Promise<number> {
  return runImageCommand(
    { help, done: 'is not pinned any more', act: (client, image) => client.call('DELETE', `pins/${image}`) },
    words,
  );
}
