/**
 * Draws intervals of a whole as a strip.
 * @param {HTMLElement} target
 * @param {readonly (readonly [start: number, end: number])[]} intervals in order, half-open
 * @param {number} size
 */
export function drawStrip(target, intervals, size) {
  const at = (/** @type {number} */ offset) => `${size === 0 ? 100 : Math.round((offset * 10_000) / size) / 100}%`;
  const stops = intervals.map(
    ([start, end]) => `transparent 0 ${at(start)}, var(--held) 0 ${end === size ? '100%' : at(end)}`,
  );
  const image = stops.length === 0 ? 'none' : `linear-gradient(to right, ${stops.join(', ')}, transparent 0)`;
  if (target.dataset['strip'] === image) return;
  target.dataset['strip'] = image;
  target.style.backgroundImage = image;
}

/**
 * How wide a part of a whole is.
 * @param {HTMLElement} target
 * @param {number} part
 * @param {number} whole
 */
export function drawPart(target, part, whole) {
  const width = `${whole === 0 ? 100 : Math.round((Math.min(part, whole) * 10_000) / whole) / 100}%`;
  if (target.style.width !== width) target.style.width = width;
}
