/** One (connection, topic, client_id): where it stands in the topic, and what still waits for it. */

import type { Awaitable, Frame, Message } from "./engine.ts";
import { whenReady } from "./engine.ts";
import type { Closing } from "./errors.ts";
import { closings } from "./errors.ts";
import type { Feed } from "./feed.ts";
import { encode, type Overflow, timestamp } from "./protocol.ts";

/** How many messages are fetched from history at a time for a subscription that catches up. */
const catchUpStretch = 32;

/** Where a subscription's frames go. Must not throw and must not wait. */
export interface Outlet {
  /** Sends a frame if there is room; otherwise the caller keeps it and waits for its turn. */
  offer(frame: Frame): boolean;
  /** Sends a frame, room or not. */
  force(frame: Frame): void;
  /** Queues for room, behind all that was queued before. */
  wait(waiting: Waiting): void;
  /** Ends the connection; what waits is forgotten. */
  close(closing: Closing): void;
}

/** Whose subscription it is. */
export interface Subscriber {
  readonly outlet: Outlet;
  /** Whether it takes the messages of a turn of the loop in one frame. */
  readonly isMerging: boolean;
  /** The topic is gone: the subscription is closed, and nothing of it comes after what waits for it now. */
  topicDeleted(subscription: Subscription): void;
}

/** Somebody who waits for room in an outlet. */
export interface Waiting {
  /** Offers what waits. True when the turn is over, false when the room ran out first. */
  drain(): boolean;
  /** An answer is queued behind it: a turn that is under way also takes what came since it began. */
  prolong?(): void;
}

/** How a subscription is to be. */
export interface SubscriptionOptions {
  readonly clientId: string;
  /** What becomes of messages that there is no room for. */
  readonly overflow: Overflow;
  /** Messages of this origin are not handed on. */
  readonly mutedOrigin: string | undefined;
}

/**
 * A subscription is either *live*, when the feed hands it each message and nothing waits, or *behind*. Behind, it has
 * no queue of its own: it is a cursor into the feed's window, which holds the newest messages once for all who are
 * behind. What has left the window before the cursor got there is lost, and told; only who catches up looks for it in
 * the topic's history first.
 */
export class Subscription implements Waiting {
  readonly feed: Feed;
  readonly clientId: string;
  readonly overflow: Overflow;
  readonly #mutedOrigin: string;
  readonly #subscriber: Subscriber;
  readonly #outlet: Outlet;
  /** Offset of the last message that needs no more handing on, as of when it was last behind. */
  #cursor = Infinity;
  /** What goes out before the window does: a replay, or what was queued when it was closed. */
  #held: Frame[] = [];
  /** How many of the held ones are gone. */
  #heldSent = 0;
  /** Offsets of muted messages past the cursor, so that they are not counted as lost. */
  #muted: number[] = [];
  /** The offset up to which this turn at the outlet goes, so that a busy topic does not keep others from theirs. */
  #turnEnd: number | undefined;
  /** It has given up its turn at the outlet until the engine answers. */
  #isAsking = false;
  #closed = false;

  constructor(feed: Feed, subscriber: Subscriber, options: SubscriptionOptions) {
    this.feed = feed;
    this.clientId = options.clientId;
    this.overflow = options.overflow;
    // An origin is never empty, so that this mutes nobody.
    this.#mutedOrigin = options.mutedOrigin ?? "";
    this.#subscriber = subscriber;
    this.#outlet = subscriber.outlet;
  }

  get isMerging(): boolean {
    return this.#subscriber.isMerging;
  }

  get topic(): string {
    return this.feed.topic;
  }

  /** How many messages have left the window and were not yet told as lost. */
  get untoldLoss(): number {
    if (this.overflow === "catch_up") return 0;
    return Math.max(0, this.feed.window.first - 1 - this.#cursor);
  }

  /** Takes a message as it is delivered. False when there is no room: then it has fallen behind. */
  receive(message: Message): boolean {
    return this.has(message) || message.origin === this.#mutedOrigin || this.#outlet.offer(message);
  }

  /**
   * Takes the messages of a turn, given one by one and as one frame. Answers the offset of the first one for which there
   * is no room, if any: then it has fallen behind.
   */
  receiveTurn(messages: readonly Message[], merged: Frame): number | undefined {
    const first = messages[0]!;
    if (this.#mutedOrigin === "" && !this.has(first)) {
      return this.#outlet.offer(merged) ? undefined : first.offset;
    }
    return messages.find((message) => !this.receive(message))?.offset;
  }

  /** Whether a message is among those that were handed on, or that the subscriber did not ask for. */
  has(message: Message): boolean {
    return message.offset <= this.#cursor;
  }

  /** Takes note of a message that it mutes. */
  noteMuted(offset: number): void {
    if (this.feed.isBehind(this)) this.#muted.push(offset);
  }

  /** Sets where to begin: `replay` first, then what comes after `offset`. */
  seek(replay: readonly Message[], offset: number): void {
    this.#held = replay.filter(({ origin }) => origin !== this.#mutedOrigin);
    this.#cursor = offset;
  }

  /** Goes to work after its ack. */
  start(): void {
    if (!this.drain()) this.#outlet.wait(this);
  }

  /** Leaves the live road just before `offset`. */
  fallBehind(offset: number): void {
    this.#cursor = offset - 1;
    this.#outlet.wait(this);
  }

  /** More waits than its queue may hold. */
  overrun(): void {
    this.#outlet.close(closings.tooSlow);
  }

  drain(): boolean {
    if (!this.#drainHeld()) return false;
    if (this.#closed) return true;
    this.#muted = this.#muted.filter((offset) => offset > this.#cursor);
    this.#turnEnd ??= this.feed.last;
    while (this.#cursor < this.#turnEnd) {
      const stretch = this.#nextStretch();
      if (stretch instanceof Promise) {
        this.#isAsking = true;
        void stretch.catch(() => []).then((messages) => this.#continueWith(messages));
        return true;
      }
      if (!this.#handOn(stretch, this.#outlet)) return false;
    }
    this.#turnEnd = undefined;
    if (this.#cursor < this.feed.last) {
      this.#outlet.wait(this);
    } else {
      this.#muted = [];
      this.feed.caughtUp(this);
    }
    return true;
  }

  prolong(): void {
    if (this.#turnEnd !== undefined) this.#turnEnd = this.feed.last;
  }

  /** Ends it. What waits is still handed on, and nothing that is published from now on. */
  close(): void {
    if (this.feed.isBehind(this)) this.#holdRest();
    if (this.#isAsking) this.#outlet.wait(this);
    this.abandon();
  }

  /** Ends it because its topic was deleted. */
  end(): void {
    this.close();
    this.#subscriber.topicDeleted(this);
  }

  /** Ends it together with its connection: what waits is forgotten. */
  abandon(): void {
    this.#closed = true;
    this.feed.remove(this);
  }

  #drainHeld(): boolean {
    for (; this.#heldSent < this.#held.length; this.#heldSent++) {
      if (!this.#outlet.offer(this.#held[this.#heldSent]!)) return false;
    }
    if (this.#heldSent > 0) {
      this.#held = [];
      this.#heldSent = 0;
    }
    return true;
  }

  /** What is next to be handed on, without holes in itself; what is missing before it is lost. */
  #nextStretch(): Awaitable<readonly Message[]> {
    const { window } = this.feed;
    if (this.overflow === "latest") return this.#skipToLatest();
    if (this.overflow !== "catch_up" || this.#cursor + 1 >= window.first) {
      return window.since(this.#cursor + 1);
    }
    const range = { after: this.#cursor, limit: catchUpStretch };
    return whenReady(
      this.feed.read(range),
      (messages) => messages.length > 0 ? messages : window.since(this.#cursor + 1),
    );
  }

  /** Passes over all but the newest message that is not muted. */
  #skipToLatest(): readonly Message[] {
    const waiting = this.feed.window.since(this.#cursor + 1);
    const latest = waiting.findLast(({ origin }) => origin !== this.#mutedOrigin);
    const end = latest ? latest.offset - 1 : this.feed.last;
    const passed = end - this.#cursor - countIn(this.#muted, this.#cursor + 1, end);
    this.feed.countDropped(passed);
    this.#cursor = end;
    return latest ? [latest] : [];
  }

  /** Hands on a stretch up to the end of the turn. False when the room ran out first. */
  #handOn(stretch: readonly Message[], outlet: Pick<Outlet, "offer" | "force">): boolean {
    for (const message of stretch) {
      if (this.#cursor >= this.#turnEnd!) break;
      const isMuted = message.origin === this.#mutedOrigin;
      const loss = this.#lossBefore(message.offset);
      if (loss) {
        if (!outlet.offer(loss.notice)) return false;
        this.feed.countDropped(loss.dropped);
        // Together with the event that ends the run of losses, or the run might be told in two pieces.
        if (!isMuted) outlet.force(message);
      } else if (!isMuted && !outlet.offer(message)) {
        return false;
      }
      this.#cursor = message.offset;
    }
    return true;
  }

  /** Goes on with what an engine had to be asked for. */
  #continueWith(messages: readonly Message[]): void {
    this.#isAsking = false;
    if (this.#closed) return;
    this.#handOn(messages, this.#outlet);
    this.#outlet.wait(this);
  }

  /** Takes out of the window what still has to be handed on. */
  #holdRest(): void {
    const rest = this.#held.slice(this.#heldSent);
    const add = (frame: Frame) => rest.push(frame) > 0;
    this.#turnEnd = this.feed.last;
    while (this.#cursor < this.#turnEnd) {
      const stretch = this.#nextStretch();
      const isAtHand = !(stretch instanceof Promise);
      this.#handOn(isAtHand ? stretch : this.feed.window.since(this.#cursor + 1), {
        offer: add,
        force: add,
      });
    }
    this.#held = rest;
    this.#heldSent = 0;
  }

  /** What is lost when the next message handed on has this offset. */
  #lossBefore(offset: number): { notice: Frame; dropped: number } | undefined {
    let from = this.#cursor + 1;
    let to = offset - 1;
    if (from > to) return undefined;
    while (this.#muted.includes(from)) from++;
    while (this.#muted.includes(to)) to--;
    const dropped = to - from + 1 - countIn(this.#muted, from, to);
    if (dropped <= 0) return undefined;
    const text = encode({
      type: "error",
      topic: this.topic,
      error: {
        code: "SLOW_CONSUMER",
        message: `Cannot keep up with "${this.topic}": ${dropped} messages were dropped`,
        dropped,
        from_offset: from,
        to_offset: to,
      },
      ts: timestamp(),
    });
    return { notice: { text, bytes: text.length }, dropped };
  }
}

function countIn(offsets: readonly number[], from: number, to: number): number {
  return offsets.filter((offset) => offset >= from && offset <= to).length;
}
