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
  /** What waits. The first frame stands by itself: subscribers mostly get one in a turn, and then no array is needed. */
  #first: string | undefined;
  readonly #others: string[] = [];
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
    if (this.#first === undefined) {
      if (!this.#isMerging && this.#turn.takeDirect()) return this.#inner.send(text);
      this.#first = text;
      this.#turn.sendAtEnd(this);
    } else {
      this.#others.push(text);
    }
    this.#waitingBytes += text.length;
  }

  close(closing: Closing): void {
    this.sendWaiting();
    this.#inner.close(closing);
  }

  sendWaiting(): number {
    const first = this.#first;
    if (first === undefined) return 0;
    this.#first = undefined;
    try {
      // One frame goes as it is: many subscribers of a topic get the same text, which is encoded for all of them.
      return this.#others.length === 0 ? this.#sendOne(first) : this.#sendAll(first);
    } catch (thrown) {
      this.#inner.close(closings.bug);
      throw thrown;
    } finally {
      this.#waitingBytes = 0;
    }
  }

  #sendOne(frame: string): number {
    this.#inner.send(frame);
    return frame.length + frameOverheadBytes;
  }

  #sendAll(first: string): number {
    const frames = [first, ...this.#others.splice(0)];
    if (this.#isMerging) return this.#sendOne(mergeFrames(frames));
    return frames.reduce((bytes, frame) => bytes + this.#sendOne(frame), 0);
  }
}
