/** The end of a turn of the event loop: when all that one read from the network brought has been handled. */

import { setImmediate } from "node:timers";

/** Something that is done once at the end of a turn, however often it was asked for. */
export interface TurnJob {
  endTurn(): void;
}

/** Collects what is to be done at the end of the turn. */
export class Turn {
  #jobs: TurnJob[] = [];
  #lastJobs: TurnJob[] = [];
  #isScheduled = false;
  readonly #onThrow: (thrown: unknown) => void;

  /** `onThrow` takes what a job throws; the others go on. */
  constructor(onThrow: (thrown: unknown) => void) {
    this.#onThrow = onThrow;
  }

  /** Does a job at the end of this turn. */
  atEnd(job: TurnJob): void {
    this.#jobs.push(job);
    this.#schedule();
  }

  /** Does a job at the end of this turn, after all those that are done {@link atEnd}. */
  atVeryEnd(job: TurnJob): void {
    this.#lastJobs.push(job);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#end());
  }

  #end(): void {
    this.#isScheduled = false;
    const jobs = this.#jobs;
    this.#jobs = [];
    this.#doAll(jobs);
    const lastJobs = this.#lastJobs;
    this.#lastJobs = [];
    this.#doAll(lastJobs);
  }

  #doAll(jobs: readonly TurnJob[]): void {
    for (const job of jobs) {
      try {
        job.endTurn();
      } catch (thrown) {
        this.#onThrow(thrown);
      }
    }
  }
}
