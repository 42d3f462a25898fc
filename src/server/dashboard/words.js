const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/**
 * Three digits and a unit.
 * @param {number} bytes
 */
export function inBytes(bytes) {
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value.toFixed(power === 0 || value >= 99.95 ? 0 : 1)} ${units[power]}`;
}

/**
 * As long as somebody would say it takes.
 * @param {number} ms
 */
export function inTime(ms) {
  if (ms < 10 * second) return `${(Math.max(0, ms) / second).toFixed(1)} s`;
  if (ms < minute) return `${Math.floor(ms / second)} s`;
  if (ms < hour) return `${Math.floor(ms / minute)} min ${Math.floor((ms % minute) / second)} s`;
  if (ms < day) return `${Math.floor(ms / hour)} h ${Math.floor((ms % hour) / minute)} min`;
  return `${Math.floor(ms / day)} d ${Math.floor((ms % day) / hour)} h`;
}

/**
 * How long ago something was.
 * @param {number} ms
 */
export function inPast(ms) {
  if (ms < minute) return 'just now';
  if (ms < hour) return `${Math.floor(ms / minute)} min ago`;
  if (ms < day) return `${Math.floor(ms / hour)} h ago`;
  return `${Math.floor(ms / day)} d ago`;
}

/**
 * How many there are of something.
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function inNumber(count, one, many = `${one}s`) {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

/**
 * Enough of a digest to tell it from others.
 * @param {string} digest
 */
export function shortDigest(digest) {
  const [algorithm = '', hex = ''] = digest.split(':', 2);
  return `${algorithm}:${hex.slice(0, 12)}`;
}

/**
 * A runtime as people write it. Podman and Buildah say only which containers/image they are made of.
 * @param {string} name
 * @param {string} version
 */
export function runtimeName(name, version) {
  const known = new Map([
    ['cri-o', 'CRI-O'],
    ['containers', 'Podman or Buildah, containers/image'],
    ['skopeo', 'Skopeo'],
    ['containerd', 'containerd'],
    ['docker', 'Docker'],
    ['other', 'Other client'],
  ]);
  return `${known.get(name) ?? name} ${version}`.trim();
}

/**
 * What a watchdog does, in few words.
 * @param {string} watchdog
 */
export function watchdogName(watchdog) {
  const known = new Map([
    ['fixed10', '10 s, cannot be changed'],
    ['configurable10', '10 s unless configured'],
    ['off', 'Off unless configured'],
    ['none', 'None'],
  ]);
  return known.get(watchdog) ?? watchdog;
}
