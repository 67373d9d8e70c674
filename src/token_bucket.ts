/** How often something may happen: so many times a second, and a second's worth at once after a pause. */

/** The time in milliseconds, from any beginning; never goes back. */
export type Clock = () => number;

/** A token bucket that holds one second's worth, and is full at first. */
export class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #filledMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#filledMs = nowMs;
  }

  /** Takes a token. False when there is none. */
  take(nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** In how many whole milliseconds there is a token. */
  untilNextMs(nowMs: number): number {
    this.#fill(nowMs);
    return Math.ceil(Math.max(0, 1 - this.#tokens) / this.#perSecond * 1000);
  }

  #fill(nowMs: number): void {
    const gained = (nowMs - this.#filledMs) / 1000 * this.#perSecond;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + gained);
    this.#filledMs = nowMs;
  }
}
