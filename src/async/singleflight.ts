/** Work that is asked for by many at once and done once: all who ask while it runs share its outcome. */
export class SingleFlight<V> {
  readonly #running = new Map<string, Promise<V>>();

  /**
   * Joins the run under `key`, or starts one. Nothing is remembered once a run has settled.
   * @throws what the shared run throws, to each who joined it.
   */
  run(key: string, work: () => Promise<V>): Promise<V> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const run = work().finally(() => this.#running.delete(key));
    this.#running.set(key, run);
    return run;
  }
}
