/** The end of a turn of the event loop: when all that one read from the network brought has been handled. */

import { setImmediate } from "node:timers";

/**
 * How many connections are sent to between two looks at the network. What is sent is copied, and written only when the
 * loop turns: thousands of copies at once would have left the processor's caches before they are written.
 */
const connectionsAtOnce = 32;

/** Something that is done once at the end of a turn, however often it was asked for. */
export interface TurnJob {
  endTurn(): void;
}

/** Collects what is to be done at the end of the turn. */
export class Turn {
  readonly #onThrow: (thrown: unknown) => void;
  #jobs: TurnJob[] = [];
  #sending: TurnJob[] = [];
  /** How many of those that send are done. */
  #sent = 0;
  #direct = connectionsAtOnce;
  #isScheduled = false;

  /** `onThrow` takes what a job throws; the others go on. */
  constructor(onThrow: (thrown: unknown) => void) {
    this.#onThrow = onThrow;
  }

  /** Allows the next few frames to be sent at once, so that a lone message does not wait; unless others wait already. */
  allowDirect(): void {
    if (this.#sending.length === 0) this.#direct = connectionsAtOnce;
  }

  /** Whether a frame may be sent at once. */
  takeDirect(): boolean {
    if (this.#direct === 0 || this.#sending.length > 0) return false;
    this.#direct--;
    return true;
  }

  /** Does a job at the end of this turn. */
  atEnd(job: TurnJob): void {
    this.#jobs.push(job);
    this.#schedule();
  }

  /** Lets a connection send after all that is done {@link atEnd}, and when those before it have sent. */
  atVeryEnd(connection: TurnJob): void {
    this.#sending.push(connection);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#end());
  }

  #end(): void {
    this.#isScheduled = false;
    this.#direct = connectionsAtOnce;
    const jobs = this.#jobs;
    if (jobs.length > 0) this.#jobs = [];
    for (const job of jobs) this.#do(job);
    const end = Math.min(this.#sending.length, this.#sent + connectionsAtOnce);
    while (this.#sent < end) this.#do(this.#sending[this.#sent++]!);
    if (this.#sent < this.#sending.length) return this.#schedule();
    this.#sending = [];
    this.#sent = 0;
  }

  #do(job: TurnJob): void {
    try {
      job.endTurn();
    } catch (thrown) {
      this.#onThrow(thrown);
    }
  }
}
