/** A connection that sends at the end of the turn: each frame by itself, or all of them as one. */

import { type Closing, closings } from "./errors.ts";
import type { Connection } from "./outbox.ts";
import { mergeFrames } from "./protocol.ts";
import type { Turn, TurnSender } from "./turn.ts";

/** What a frame takes besides its text: the runtime makes a task of each. */
const frameOverheadBytes = 512;

/** How a connection sends what a turn brings. */
export interface TurnConnectionOptions {
  /** Whether the client takes several messages in one frame: `tidings.batch.v1`. */
  readonly isMerging: boolean;
}

/** Keeps what one turn of the loop brings for a connection together. */
export class TurnConnection implements Connection, TurnSender {
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
      this.#turn.sendAtEnd(this);
    }
    this.#frames.push(text);
    this.#waitingBytes += text.length;
  }

  close(closing: Closing): void {
    this.sendWaiting();
    this.#inner.close(closing);
  }

  sendWaiting(): number {
    const frames = this.#frames;
    const bytes = this.#waitingBytes;
    if (frames.length === 0) return 0;
    this.#frames = [];
    this.#waitingBytes = 0;
    try {
      // One frame goes as it is: many subscribers of a topic get the same text, which is encoded for all of them.
      const sent = this.#isMerging && frames.length > 1 ? [mergeFrames(frames)] : frames;
      for (const frame of sent) this.#inner.send(frame);
      return bytes + sent.length * frameOverheadBytes;
    } catch (thrown) {
      this.#inner.close(closings.bug);
      throw thrown;
    }
  }
}
