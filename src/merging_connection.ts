/** A connection whose client takes several messages in one frame: `tidings.batch.v1`. */

import { type Closing, closings } from "./errors.ts";
import type { Connection } from "./outbox.ts";
import { mergeFrames } from "./protocol.ts";
import type { Turn, TurnJob } from "./turn.ts";

/** Sends all that one turn of the loop brings in one frame. */
export class MergingConnection implements Connection, TurnJob {
  readonly #inner: Connection;
  readonly #turn: Turn;
  #frames: string[] = [];
  #waitingBytes = 0;

  constructor(inner: Connection, turn: Turn) {
    this.#inner = inner;
    this.#turn = turn;
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes + this.#waitingBytes;
  }

  send(text: string): void {
    if (this.#frames.length === 0) this.#turn.atVeryEnd(this);
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
      this.#inner.send(frames.length === 1 ? frames[0]! : mergeFrames(frames));
    } catch (thrown) {
      this.#inner.close(closings.bug);
      throw thrown;
    }
  }
}
