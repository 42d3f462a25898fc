/**
 * Waits for `promise`, but no longer than `signal` allows. The work behind the promise goes on:
 * only this waiter leaves.
 * @throws what the promise throws, or the signal's reason.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      // The promise is somebody else's too, but a rejection that nobody hears would end the process.
      promise.catch(() => {});
      return reject(signal.reason);
    }
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
