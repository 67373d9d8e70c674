/** A connection that sends at the end of the turn: each frame by itself, or all of them as one. */

import { type Closing, closings } from "./errors.ts";
import type { Connection } from "./outbox.ts";
import { mergeFrames } from "./protocol.ts";
import type { Turn, TurnJob } from "./turn.ts";

/** How a connection sends what a turn brings. */
export interface TurnConnectionOptions {
  /** Whether the client takes several messages in one frame: `tidings.batch.v1`. */
  readonly isMerging: boolean;
}

/** Keeps what one turn of the loop brings for a connection together. */
export class TurnConnection implements Connection, TurnJob {
  readonly #inner: Connection;
  readonly #turn: Turn;
  readonly #isMerging: boolean;
  #frames: string[] = [];
  #waitingBytes = 0;

  constructor(inner: Connection, turn: Turn, { isMerging }: TurnConnectionOptions) {
    this.#inner = inner;
    this.#turn = turn;
    this.#isMerging = isMerging;
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes + this.#waitingBytes;
  }

  send(text: string): void {
    if (this.#frames.length === 0) {
      if (!this.#isMerging && this.#turn.takeDirect()) return this.#inner.send(text);
      this.#turn.atVeryEnd(this);
    }
    this.#frames.push(text);
    this.#waitingBytes += text.length;
  }

  close(closing: Closing): void {
    this.endTurn();
    this.#inner.close(closing);
  }

  endTurn(): void {
    const frames = this.#frames;
    if (frames.length === 0) return;
    this.#frames = [];
    this.#waitingBytes = 0;
    try {
      // One frame goes as it is: many subscribers of a topic get the same text, which is encoded for all of them.
      if (!this.#isMerging || frames.length === 1) {
        frames.forEach((frame) => this.#inner.send(frame));
      } else this.#inner.send(mergeFrames(frames));
    } catch (thrown) {
      this.#inner.close(closings.bug);
      throw thrown;
    }
  }
}
