/** Cancels what it was returned for; calling it again, or too late, does nothing. */
export type Cancel = () => void;

/**
 * Time as the mirror sees it. Whatever waits or measures takes a `Clock`, so that a test owns time
 * and a step of the system clock disturbs nothing.
 */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin: for intervals, never stored. */
  now(): number;
  /** Wall time in milliseconds since the Unix epoch: only for what is stored or shown. */
  wall(): number;
  /** Calls `callback` once, `ms` milliseconds (≥ 0) from now, unless cancelled before. */
  after(ms: number, callback: () => void): Cancel;
}

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/**
 * Resolves `ms` milliseconds from now.
 * @throws the signal's reason, as soon as it aborts.
 */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal.reason);
    };
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
