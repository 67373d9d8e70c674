/**
 * One topic in this process: puts what the engine carries in order, hands it to the subscriptions, and keeps what
 * those that are behind still need. This is where a subscriber that is just arriving meets what is being published.
 */

import {
  type Awaitable,
  type Engine,
  type HistoryRange,
  type Message,
  whenReady,
} from "./engine.ts";
import type { Position } from "./protocol.ts";
import { Ring } from "./ring.ts";
import type { Subscription } from "./subscription.ts";

/** What a feed may hold. */
export interface FeedOptions {
  /** How many messages may wait for a subscription that is behind. */
  readonly maxQueue: number;
}

/** Hands each message of its topic on exactly once and in order, whatever the engine does with them. */
export class Feed {
  readonly topic: string;
  readonly #engine: Engine;
  readonly #live = new Set<Subscription>();
  readonly #behind = new Set<Subscription>();
  /** Messages that overtook an earlier one, by offset. */
  readonly #early = new Map<number, Message>();
  /** The newest messages, as far back as anybody who is behind may need them. */
  readonly window: Ring<Message>;
  #epoch: string | undefined;
  #last = 0;
  #filling = false;

  constructor(topic: string, engine: Engine, options: FeedOptions) {
    this.topic = topic;
    this.#engine = engine;
    this.window = new Ring(options.maxQueue, 1);
  }

  /** Offset of the last message handed on. */
  get last(): number {
    return this.#last;
  }

  /** How many subscriptions it has. */
  get size(): number {
    return this.#live.size + this.#behind.size;
  }

  /** Every subscription, in no promised order. */
  get subscriptions(): readonly Subscription[] {
    return [...this.#live, ...this.#behind];
  }

  isBehind(subscription: Subscription): boolean {
    return this.#behind.has(subscription);
  }

  /**
   * Lets a subscription in, set to begin with a stretch of history. Answers the position at which the history ends
   * and its live messages begin, or `undefined` when there is no such topic. Until it is started, it is behind.
   */
  join(subscription: Subscription, range: HistoryRange): Awaitable<Position | undefined> {
    this.#addBehind(subscription);
    return whenReady(this.#engine.read(this.topic, range), (history) => {
      if (!history) return undefined;
      this.#begin(history);
      const { epoch, offset, messages } = history;
      return whenReady(this.#readUpToWindow(offset), (rest) => {
        subscription.seek([...messages, ...rest], rest.at(-1)?.offset ?? offset);
        return { epoch, offset };
      });
    });
  }

  /** Takes a message as the engine carries it: late, twice or out of order. */
  accept(epoch: string, message: Message): void {
    this.#begin({ epoch, offset: message.offset - 1 });
    if (epoch !== this.#epoch || message.offset <= this.#last) return;
    if (message.offset > this.#last + 1) {
      this.#early.set(message.offset, message);
      this.#fillGap();
      return;
    }
    this.#deliver(message);
    if (this.#early.size > 0) this.#deliverEarly();
  }

  /** Puts a subscription that has nothing left to wait for back on the live road. */
  caughtUp(subscription: Subscription): void {
    this.#behind.delete(subscription);
    this.#live.add(subscription);
    this.#trimWindow();
  }

  remove(subscription: Subscription): void {
    this.#live.delete(subscription);
    this.#behind.delete(subscription);
    this.#trimWindow();
  }

  /** The fan-out. */
  #deliver(message: Message): void {
    this.#last = message.offset;
    for (const subscription of this.#live) {
      if (!subscription.receive(message)) this.#fallBehind(subscription, message.offset);
    }
    if (this.#behind.size > 0) this.window.push(message);
  }

  #fallBehind(subscription: Subscription, offset: number): void {
    if (this.#behind.size === 0) this.window.restart(offset);
    this.#live.delete(subscription);
    this.#behind.add(subscription);
    subscription.fallBehind(offset);
  }

  #addBehind(subscription: Subscription): void {
    if (this.#behind.size === 0) this.window.restart(this.#last + 1);
    this.#behind.add(subscription);
  }

  #trimWindow(): void {
    if (this.#behind.size === 0) this.window.restart(this.#last + 1);
  }

  /** The first that is heard of the topic says where it stands. */
  #begin({ epoch, offset }: Position): void {
    if (this.#epoch !== undefined) return;
    this.#epoch = epoch;
    this.#last = offset;
    this.window.restart(offset + 1);
  }

  /** What was published while the engine was asked for `offset`, as far as the window has lost it again. */
  #readUpToWindow(offset: number): Awaitable<readonly Message[]> {
    if (offset + 1 >= this.window.first) return [];
    return whenReady(this.#engine.read(this.topic, { after: offset }), (history) => {
      const messages = history?.messages ?? [];
      const newest = messages.at(-1);
      if (!newest) return messages;
      return whenReady(this.#readUpToWindow(newest.offset), (rest) => [...messages, ...rest]);
    });
  }

  /** Asks the engine for what it failed to carry, until no message waits for an earlier one. */
  async #fillGap(): Promise<void> {
    if (this.#filling) return;
    this.#filling = true;
    try {
      while (this.#early.size > 0) {
        const history = await this.#engine.read(this.topic, { after: this.#last });
        if (!history || history.epoch !== this.#epoch) break;
        for (const message of history.messages) this.#early.set(message.offset, message);
        const oldest = history.messages[0]?.offset ?? history.offset + 1;
        if (oldest > this.#last + 1) this.#skipTo(oldest);
        this.#deliverEarly();
      }
    } catch {
      // The next event asks again.
    } finally {
      this.#filling = false;
    }
  }

  #deliverEarly(): void {
    for (const offset of this.#early.keys()) if (offset <= this.#last) this.#early.delete(offset);
    for (let next; (next = this.#early.get(this.#last + 1)) !== undefined;) {
      this.#early.delete(next.offset);
      this.#deliver(next);
    }
  }

  /** Gives up on what not even the engine has any more: all fall behind, and are told what they lost. */
  #skipTo(offset: number): void {
    for (const subscription of this.#live) this.#fallBehind(subscription, this.#last + 1);
    this.#last = offset - 1;
    this.window.restart(offset);
  }
}
