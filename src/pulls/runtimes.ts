import { crioWatchdog, type Watchdog } from './watchdogs.ts';

/** What kind of client asks, as far as it says. */
export interface Runtime {
  /** `cri-o`, `containers` (Podman, Buildah), `skopeo`, `containerd`, `docker`, or `other`. */
  readonly name: string;
  /** As the client writes it; empty when it does not say. */
  readonly version: string;
  /** What cancels its pulls when they make no progress. */
  readonly watchdog: Watchdog;
  /** Whether it turns to the next mirror when one blob request fails. The others fail the pull. */
  readonly fallsBack: boolean;
  /** Whether it may take a layer in parts, several at a time, and ask for each to the end of the layer: containerd 2.1. */
  readonly takesParts: boolean;
}

/** First words of User-Agent headers, by who sends them. */
const families: readonly (readonly [prefix: string, name: string, fallsBack: boolean])[] = [
  ['cri-o', 'cri-o', false],
  ['containers', 'containers', false],
  ['skopeo', 'skopeo', false],
  ['Buildah', 'containers', false],
  ['libpod', 'containers', false],
  ['containerd', 'containerd', true],
  ['docker', 'docker', true],
];

/** Reads a `User-Agent` header: RFC 9110 §10.1.5. Nothing in it is trusted beyond what it says of the client. */
export function parseRuntime(userAgent: string | undefined): Runtime {
  const [, product = '', version = ''] = /^([A-Za-z-]+)(?![^\s/])(?:\/v?([^\s/]{1,64}))?/.exec(userAgent ?? '') ?? [];
  const [, name, fallsBack] = families.find(([prefix]) => prefix === product) ?? [];
  if (name === undefined || fallsBack === undefined) {
    return { name: 'other', version: '', watchdog: 'none', fallsBack: true, takesParts: false };
  }
  const watchdog = name === 'cri-o' ? crioWatchdog(version) : 'none';
  return { name, version, watchdog, fallsBack, takesParts: name === 'containerd' };
}
