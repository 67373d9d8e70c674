/** When the driver may sleep. */

import { sleepMicroseconds } from "./libc.ts";

/**
 * The driver sleeps until about this share of what is on its way has come: a socket that is read once for several
 * messages costs the driver, and the server that is woken by its TCP acknowledgements, less than once for each.
 */
const napShare = 0.25;
const longestNapMs = 20;
/** Shorter sleeps cost more than they save. */
const shortestNapMs = 0.1;

export class Pacer {
  readonly #startedAt = performance.now();

  /** `taken` has come since this pacer was made, and `outstanding` is still to come. */
  nap(taken: number, outstanding: number): void {
    if (taken === 0) return;
    const msForEach = (performance.now() - this.#startedAt) / taken;
    const napMs = Math.min(longestNapMs, outstanding * napShare * msForEach);
    if (napMs > shortestNapMs) sleepMicroseconds(napMs * 1000 | 0);
  }
}
