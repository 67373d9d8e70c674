/** The end of a turn of the event loop: when all that one read from the network brought has been handled. */

import { setImmediate } from "node:timers";

/**
 * How many bytes are sent between two looks at the network. They are copied, and written only when the loop turns: much
 * more at once would have left the processor's caches by then. A turn of the loop has its price, too.
 */
const bytesAtOnce = 262_144;

/** How many frames may be sent without waiting for the end of the turn. */
const directFrames = 32;

/** Something that is done once at the end of a turn, however often it was asked for. */
export interface TurnJob {
  endTurn(): void;
}

/** A connection that sends at the end of a turn. */
export interface TurnSender {
  /** Sends what waits, and answers how many bytes that took. */
  sendWaiting(): number;
}

/** Collects what is to be done at the end of the turn. */
export class Turn {
  readonly #onThrow: (thrown: unknown) => void;
  #jobs: TurnJob[] = [];
  #senders: TurnSender[] = [];
  /** How many of them have sent. */
  #sent = 0;
  #direct = directFrames;
  #isScheduled = false;

  /** `onThrow` takes what a job or a sender throws; the others go on. */
  constructor(onThrow: (thrown: unknown) => void) {
    this.#onThrow = onThrow;
  }

  /** Allows the next few frames to be sent at once, so that a lone message does not wait; unless others wait already. */
  allowDirect(): void {
    if (this.#senders.length === 0) this.#direct = directFrames;
  }

  /** Whether a frame may be sent at once. */
  takeDirect(): boolean {
    if (this.#direct === 0 || this.#senders.length > 0) return false;
    this.#direct--;
    return true;
  }

  /** Does a job at the end of this turn. */
  atEnd(job: TurnJob): void {
    this.#jobs.push(job);
    this.#schedule();
  }

  /** Lets a connection send after all jobs are done, and when those before it have sent. */
  sendAtEnd(sender: TurnSender): void {
    this.#senders.push(sender);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#end());
  }

  #end(): void {
    this.#isScheduled = false;
    this.#direct = directFrames;
    const jobs = this.#jobs;
    if (jobs.length > 0) this.#jobs = [];
    for (const job of jobs) this.#guard(() => job.endTurn());
    for (let bytes = 0; bytes < bytesAtOnce && this.#sent < this.#senders.length;) {
      const sender = this.#senders[this.#sent++]!;
      this.#guard(() => bytes += sender.sendWaiting());
    }
    if (this.#sent < this.#senders.length) return this.#schedule();
    this.#senders = [];
    this.#sent = 0;
  }

  #guard(job: () => void): void {
    try {
      job();
    } catch (thrown) {
      this.#onThrow(thrown);
    }
  }
}
