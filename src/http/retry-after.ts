const longest = 60 * 60 * 1000;
/** A number this large is no delay in seconds: registries have been seen to send a Unix time. */
const unixTimeFrom = 1_000_000_000;

/**
 * Reads `Retry-After` as registries send it: seconds, an HTTP date (RFC 9110 §10.2.3), or a Unix time.
 * @returns milliseconds from `wall` (epoch ms), between 0 and one hour; `undefined` when absent or unreadable.
 */
export function parseRetryAfter(header: string | undefined, wall: number): number | undefined {
  if (header === undefined || header.trim() === '') return undefined;
  const delay = delayOf(header.trim(), wall);
  return Number.isNaN(delay) ? undefined : Math.min(Math.max(delay, 0), longest);
}

function delayOf(text: string, wall: number): number {
  if (!/^\d+(\.\d+)?$/.test(text)) return dateOf(text) - wall;
  const seconds = Number(text);
  return seconds >= unixTimeFrom ? seconds * 1000 - wall : seconds * 1000;
}

/** All three forms of an HTTP date begin with the day, and are in GMT, though the oldest does not say so: RFC 9110 §5.6.7. */
function dateOf(text: string): number {
  if (!/^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? /i.test(text)) return Number.NaN;
  return Date.parse(/gmt$/i.test(text) ? text : `${text} GMT`);
}
