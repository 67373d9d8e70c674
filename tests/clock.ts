/**
 * The wall clock, moved by hand, for servers in this process. Timers of a second or more run when it is moved far
 * enough; shorter ones run as they always do.
 */

const least = 1000;

interface Timer {
  readonly dueMs: number;
  readonly delayMs: number;
  readonly run: () => void;
}

export class Clock implements Disposable {
  readonly #now = Date.now;
  readonly #setTimeout = globalThis.setTimeout;
  readonly #clearTimeout = globalThis.clearTimeout;
  readonly #timers = new Map<unknown, Timer>();
  #made = 0;
  #aheadMs = 0;

  constructor() {
    Date.now = () => this.#now.call(Date) + this.#aheadMs;
    globalThis.setTimeout = ((run: () => void, delayMs = 0) => {
      if (delayMs < least) return this.#setTimeout.call(globalThis, run, delayMs);
      const id = -++this.#made;
      this.#timers.set(id, { run, delayMs, dueMs: Date.now() + delayMs });
      return id;
    }) as typeof setTimeout;
    globalThis.clearTimeout = ((id: never) => {
      if (!this.#timers.delete(id)) this.#clearTimeout.call(globalThis, id);
    }) as typeof clearTimeout;
  }

  /** The delays of the timers that are set, in milliseconds. */
  get delays(): readonly number[] {
    return Array.from(this.#timers.values(), ({ delayMs }) => delayMs);
  }

  /** Moves on, and runs the timers that are due on the way, each at its time. */
  advance(ms: number): void {
    const untilMs = Date.now() + ms;
    for (;;) {
      const due = Array.from(this.#timers)
        .filter(([, { dueMs }]) => dueMs <= untilMs)
        .sort(([, a], [, b]) => a.dueMs - b.dueMs)[0];
      if (!due) break;
      const [id, { dueMs, run }] = due;
      this.#timers.delete(id);
      this.#aheadMs += Math.max(0, dueMs - Date.now());
      run();
    }
    this.#aheadMs += Math.max(0, untilMs - Date.now());
  }

  [Symbol.dispose](): void {
    Date.now = this.#now;
    globalThis.setTimeout = this.#setTimeout;
    globalThis.clearTimeout = this.#clearTimeout;
  }
}
