/**
 * The progress watchdog of a node: there is `none`; it cancels after 10 s whatever the configuration says; after 10 s
 * unless it is configured otherwise; or it is `off` unless it is configured.
 */
export type Watchdog = 'none' | 'fixed10' | 'configurable10' | 'off';

/** Major, minor, patch. */
type Version = readonly [number, number, number];

/** CRI-O releases from which on the watchdog is another one; newest first. */
const changes: readonly (readonly [since: Version, watchdog: Watchdog])[] = [
  [[1, 33, 0], 'off'],
  [[1, 32, 4], 'off'],
  [[1, 32, 0], 'configurable10'],
  [[1, 31, 9], 'off'],
  [[1, 31, 3], 'configurable10'],
  [[1, 31, 0], 'fixed10'],
  [[1, 30, 14], 'off'],
  [[1, 30, 11], 'configurable10'],
  [[1, 30, 0], 'fixed10'],
  [[0, 0, 0], 'none'],
];

/**
 * The watchdog of a version of CRI-O. Suffixes (`-dev`, `-rhaos4.17.git…`, `+build`) change nothing. A missing patch
 * counts as 0, and a version that cannot be read as one with a watchdog: both are the likeliest to time out.
 */
export function crioWatchdog(version: string): Watchdog {
  const [, major, minor, patch = 0] = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  if (major === undefined) return 'configurable10';
  const asked: Version = [Number(major), Number(minor), Number(patch)];
  const row = changes.find(([since]) => compare(asked, since) >= 0);
  return row?.[1] ?? 'none';
}

/** Whether a node with this watchdog may cancel a pull, unless somebody has configured it not to. */
export function canTimeOut(watchdog: Watchdog): boolean {
  return watchdog === 'fixed10' || watchdog === 'configurable10';
}

function compare(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}
