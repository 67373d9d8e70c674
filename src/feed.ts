/**
 * One topic in this process: puts what the engine carries in order, hands it to the subscriptions, and keeps what
 * those that are behind still need. This is where a subscriber that is just arriving meets what is being published.
 */

import {
  type Awaitable,
  type Engine,
  type Frame,
  type History,
  type HistoryRange,
  type Message,
  whenReady,
} from "./engine.ts";
import type { Position } from "./protocol.ts";
import { Ring } from "./ring.ts";
import type { Subscription } from "./subscription.ts";
import type { Turn, TurnJob } from "./turn.ts";

/** How much is merged before a subscriber is asked again whether it has room. */
const maxMergedBytes = 65_536;

/** What a feed may hold. */
export interface FeedOptions {
  /** How many messages may wait for a subscription that is behind. */
  readonly maxQueue: number;
  /** When what merging subscriptions get is merged. */
  readonly turn: Turn;
}

/** Where a subscription begins. */
export interface Start {
  /** How many of the newest messages to replay. */
  readonly lastN: number;
  /** After which position to go on; when that cannot be done, `lastN` counts. */
  readonly since?: Position | undefined;
}

/** Whether all that came after a position is there. */
export interface Recovery {
  readonly recovered: boolean;
  readonly reason?: "epoch_changed" | "evicted" | "ahead";
}

/** Where a subscription's replay ended and its live messages begin. */
export type Started = Position & Partial<Recovery>;

/** Why a stretch of history is not all that came after a position; `undefined` when it is. */
export function whyNotRecovered(since: Position, history: History): Recovery["reason"] {
  if (since.epoch !== history.epoch) return "epoch_changed";
  if (since.offset > history.offset) return "ahead";
  if (since.offset === history.offset) return undefined;
  return history.messages[0]?.offset === since.offset + 1 ? undefined : "evicted";
}

/** Hands each message of its topic on exactly once and in order, whatever the engine does with them. */
export class Feed implements TurnJob {
  readonly topic: string;
  /** Ready when the engine carries this topic's events. */
  readonly listening: Awaitable<void>;
  readonly #engine: Engine;
  readonly #turn: Turn;
  /** Live ones that get each message at once. */
  readonly #live = new Set<Subscription>();
  /** Live ones that get the messages of a turn in one frame. */
  readonly #merging = new Set<Subscription>();
  /** What the merging ones have not got yet. */
  #turnMessages: Message[] = [];
  readonly #behind = new Set<Subscription>();
  /** Those of them that are closed when more waits for them than their queue may hold. */
  readonly #strict = new Set<Subscription>();
  /** Messages that overtook an earlier one, by offset. */
  readonly #early = new Map<number, Message>();
  /** The newest messages, as far back as anybody who is behind may need them. */
  readonly window: Ring<Message>;
  #epoch: string | undefined;
  #last = 0;
  #filling = false;
  #dropped = 0;

  constructor(topic: string, engine: Engine, options: FeedOptions) {
    this.topic = topic;
    this.#engine = engine;
    this.#turn = options.turn;
    this.window = new Ring(options.maxQueue, 1);
    this.listening = engine.listen(topic);
  }

  /** Offset of the last message handed on. */
  get last(): number {
    return this.#last;
  }

  /** How many subscriptions it has. */
  get size(): number {
    return this.#live.size + this.#merging.size + this.#behind.size;
  }

  /** Every subscription, in no promised order. */
  get subscriptions(): readonly Subscription[] {
    return [...this.#live, ...this.#merging, ...this.#behind];
  }

  /** How many subscriptions are behind. */
  get lagging(): number {
    return this.#behind.size;
  }

  /** How many messages its subscriptions lost because they were slow. */
  get dropped(): number {
    let dropped = this.#dropped;
    for (const subscription of this.#behind) dropped += subscription.untoldLoss;
    return dropped;
  }

  countDropped(count: number): void {
    this.#dropped += count;
  }

  /** Reads a stretch of the topic's history; empty when there is none. */
  read(range: HistoryRange): Awaitable<readonly Message[]> {
    return whenReady(this.#engine.read(this.topic, range), (history) => history?.messages ?? []);
  }

  isBehind(subscription: Subscription): boolean {
    return this.#behind.has(subscription);
  }

  /**
   * Lets a subscription in, set to begin with what it asks for. Answers the position at which its replay ends and its
   * live messages begin, or `undefined` when there is no such topic. Until it is started, it is behind.
   */
  join(subscription: Subscription, start: Start): Awaitable<Started | undefined> {
    this.#addBehind(subscription, this.#last + 1);
    return whenReady(this.#readFrom(start), (found) => {
      if (!found) return undefined;
      const { history, recovery } = found;
      this.#begin(history);
      const { epoch, offset, messages } = history;
      return whenReady(this.#readUpToWindow(offset), (rest) => {
        subscription.seek([...messages, ...rest], rest.at(-1)?.offset ?? offset);
        return { epoch, offset, ...recovery };
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
    this.#strict.delete(subscription);
    if (subscription.isMerging) {
      // What it has caught up with must not come to it again.
      this.endTurn();
      this.#merging.add(subscription);
    } else {
      this.#live.add(subscription);
    }
    this.#trimWindow();
  }

  remove(subscription: Subscription): void {
    if (this.#merging.has(subscription)) this.endTurn();
    this.#merging.delete(subscription);
    this.#live.delete(subscription);
    this.#behind.delete(subscription);
    this.#strict.delete(subscription);
    this.#trimWindow();
  }

  /** The fan-out. */
  #deliver(message: Message): void {
    this.#last = message.offset;
    this.#turn.allowDirect();
    for (const subscription of this.#live) {
      if (!subscription.receive(message)) this.#fallBehind(subscription, message.offset);
    }
    if (this.#behind.size > 0) {
      this.window.push(message);
      if (this.#strict.size > 0) this.#endOverrun();
    }
    if (this.#merging.size > 0) {
      if (this.#turnMessages.length === 0) this.#turn.atEnd(this);
      this.#turnMessages.push(message);
    }
  }

  /** The fan-out of a turn, in one frame that is encoded once, or in few when there is much. */
  endTurn(): void {
    for (let from = 0; from < this.#turnMessages.length;) {
      const messages = takeUpTo(maxMergedBytes, this.#turnMessages, from);
      const merged = mergeMessages(messages);
      for (const subscription of this.#merging) {
        const missed = subscription.receiveTurn(messages, merged);
        if (missed !== undefined) this.#fallBehind(subscription, missed);
      }
      from += messages.length;
    }
    if (this.#turnMessages.length > 0) this.#turnMessages = [];
    if (this.#strict.size > 0) this.#endOverrun();
  }

  #endOverrun(): void {
    for (const subscription of this.#strict) {
      if (subscription.untoldLoss > 0) subscription.overrun();
    }
  }

  #fallBehind(subscription: Subscription, offset: number): void {
    this.#live.delete(subscription);
    this.#merging.delete(subscription);
    this.#addBehind(subscription, offset);
    subscription.fallBehind(offset);
  }

  /** `next` is the offset of the first message that it may need. */
  #addBehind(subscription: Subscription, next: number): void {
    if (this.#behind.size === 0) this.#restartWindow(next);
    this.#behind.add(subscription);
    if (subscription.overflow === "disconnect") this.#strict.add(subscription);
  }

  /** Merging subscriptions may still fall behind with what this turn has brought them. */
  #restartWindow(next: number): void {
    this.window.restart(this.#turnMessages[0]?.offset ?? next);
    for (const message of this.#turnMessages) this.window.push(message);
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

  /** Reads what a subscription is to begin with, and says whether that is all it missed. */
  #readFrom(
    { lastN, since }: Start,
  ): Awaitable<{ history: History; recovery?: Recovery } | undefined> {
    const readLast = (recovery?: Recovery) =>
      whenReady(
        this.#engine.read(this.topic, { last: lastN }),
        (history) => history && { history, ...(recovery && { recovery }) },
      );
    if (!since) return readLast();
    return whenReady(this.#engine.read(this.topic, { after: since.offset }), (history) => {
      if (!history) return undefined;
      const reason = whyNotRecovered(since, history);
      return reason
        ? readLast({ recovered: false, reason })
        : { history, recovery: { recovered: true } };
    });
  }

  /** What was published while the engine was asked for `offset`, as far as the window has lost it again. */
  #readUpToWindow(offset: number): Awaitable<readonly Message[]> {
    if (offset + 1 >= this.window.first) return [];
    return whenReady(this.#engine.read(this.topic, { after: offset }), (history) => {
      const messages = history?.messages ?? [];
      // What history has given up already is told as lost.
      if (messages[0]?.offset !== offset + 1) return [];
      const newest = messages.at(-1)!.offset;
      return whenReady(this.#readUpToWindow(newest), (rest) => [...messages, ...rest]);
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
        const held = history.messages[0]?.offset ?? history.offset + 1;
        if (held > this.#last + 1) this.#skipTo(Math.min(held, ...this.#early.keys()));
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
    this.endTurn();
    for (const subscription of [...this.#live, ...this.#merging]) {
      this.#fallBehind(subscription, this.#last + 1);
    }
    this.#last = offset - 1;
    this.window.restart(offset);
  }
}

/** The messages from an index on that together have at most `maxBytes`, and one at least. */
function takeUpTo(maxBytes: number, messages: readonly Message[], from: number): Message[] {
  let bytes = 0;
  let end = from;
  while (end < messages.length && (bytes += messages[end]!.bytes) <= maxBytes) end++;
  return messages.slice(from, Math.max(end, from + 1));
}

function mergeMessages(messages: readonly Message[]): Frame {
  if (messages.length === 1) return messages[0]!;
  const bytes = messages.reduce((sum, message) => sum + message.bytes + 1, 1);
  return { text: `[${messages.map(({ text }) => text).join(",")}]`, bytes };
}
