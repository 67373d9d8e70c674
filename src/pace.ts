/**
 * How fast one connection may ask. What comes too fast is refused and told to wait; who goes on all the same is known
 * by it, and can be told from who had sent it all before the first refusal could be read.
 */

import { type Clock, TokenBucket } from "./token_bucket.ts";

/** For how long a client is told to wait, in milliseconds: after that the bucket is full, whatever was in it. */
const pauseMs = 1000;

/** What comes within so long of the first refusal may have been sent before that could be read, in milliseconds. */
const readingTimeMs = 1000;

/** A client's timer may be early by so much, in milliseconds. */
const timerSlackMs = 20;

/** The pace of one connection's requests. */
export class RequestPace {
  readonly #perSecond: number;
  readonly #clock: Clock;
  readonly #bucket: TokenBucket;
  /** When the present run of refusals began: it ends when the client pauses as it was told. */
  #runStartedMs: number | undefined;
  #refusedMs = -Infinity;
  #ignored = 0;

  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#bucket = new TokenBucket(perSecond, clock());
  }

  /**
   * Takes note of a request. 0 when it may be done; otherwise after how many milliseconds without a request a whole
   * second's worth of them will be.
   */
  take(): number {
    const nowMs = this.#clock();
    if (nowMs - this.#refusedMs >= pauseMs - timerSlackMs) {
      this.#runStartedMs = undefined;
      this.#ignored = 0;
    }
    if (this.#bucket.take(nowMs)) return 0;
    this.#refusedMs = nowMs;
    this.#runStartedMs ??= nowMs;
    if (nowMs - this.#runStartedMs > readingTimeMs) this.#ignored++;
    return pauseMs;
  }

  /** Whether the client goes on in spite of what it was told: by more than a second's worth of refused requests. */
  get isIgnored(): boolean {
    return this.#ignored > this.#perSecond;
  }
}
