/** The time of the page: milliseconds since the Unix epoch. */
export function now() {
  return Date.now();
}

/**
 * Calls `callback` once, `ms` milliseconds from now.
 * @param {number} ms
 * @param {() => void} callback
 * @returns {() => void} cancels it
 */
export function after(ms, callback) {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}
