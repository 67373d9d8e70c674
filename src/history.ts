/** What is kept of topics for replay: the newest messages of each, within one budget of bytes for all of them. */

import type { Message } from "./engine.ts";
import { Ring } from "./ring.ts";

/**
 * Bytes that all histories may hold together. Over it, the oldest messages of the largest histories go first; the
 * largest is found by powers of two, so that finding it costs the same with ten topics and with a million.
 */
export class HistoryBudget {
  readonly maxBytes: number;
  /** Bytes held by all histories together. */
  #bytes = 0;
  /** Histories by the bit length of their size. */
  readonly #bySize: Set<TopicHistory>[] = [];

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Takes note that a history has another size now; `before` is what it had. */
  resized(history: TopicHistory, before: number): void {
    this.#bytes += history.bytes - before;
    const from = bitLength(before);
    const to = bitLength(history.bytes);
    if (from === to) return;
    if (from > 0) this.#bySize[from]!.delete(history);
    if (to > 0) (this.#bySize[to] ??= new Set()).add(history);
  }

  /** Gives up what is over the budget. */
  enforce(): void {
    for (let size = this.#bySize.length - 1; this.#bytes > this.maxBytes && size > 0; size--) {
      for (const history of this.#bySize[size] ?? []) {
        while (this.#bytes > this.maxBytes && bitLength(history.bytes) === size) history.evict();
        if (this.#bytes <= this.maxBytes) return;
      }
    }
  }
}

/** The newest messages of one topic. */
export class TopicHistory {
  readonly #messages: Ring<Message>;
  readonly #budget: HistoryBudget;
  #bytes = 0;
  #evicted = 0;

  constructor(maxMessages: number, budget: HistoryBudget) {
    this.#messages = new Ring(maxMessages, 1);
    this.#budget = budget;
  }

  /** How many messages it holds. */
  get size(): number {
    return this.#messages.size;
  }

  /** Bytes that its messages hold. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many messages it gave up for the budget. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Adds the next message. */
  push(message: Message): void {
    const before = this.#bytes;
    if (this.size > 0 && this.size === this.#messages.capacity) this.#shift();
    this.#messages.push(message);
    if (this.size > 0) this.#bytes += costOf(message);
    this.#budget.resized(this, before);
    this.#budget.enforce();
  }

  /** The messages after an offset, oldest first, `limit` of them at the most. */
  after(offset: number, limit: number): Message[] {
    return this.#messages.since(offset + 1, limit);
  }

  /** Gives up its oldest message. There must be one. */
  evict(): void {
    const before = this.#bytes;
    this.#shift();
    this.#evicted++;
    this.#budget.resized(this, before);
  }

  /** Gives up everything. */
  clear(): void {
    const before = this.#bytes;
    this.#bytes = 0;
    this.#messages.restart(this.#messages.first + this.size);
    this.#budget.resized(this, before);
  }

  #shift(): void {
    this.#bytes -= costOf(this.#messages.shift());
  }
}

/** Memory that a message's text takes: V8 keeps a text that is not all Latin-1 as two bytes a character. */
function costOf({ text, bytes }: Message): number {
  return bytes === text.length ? bytes : 2 * text.length;
}

function bitLength(size: number): number {
  return size === 0 ? 0 : 1 + Math.floor(Math.log2(size));
}
