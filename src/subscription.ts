/** One (connection, topic, client_id): where it stands in the topic, and what still waits for it. */

import type { Frame, Message } from "./engine.ts";
import type { Feed } from "./feed.ts";
import { encode, timestamp } from "./protocol.ts";

/** Where a subscription's frames go. Must not throw and must not wait. */
export interface Outlet {
  /** Sends a frame if there is room; otherwise the caller keeps it and waits for its turn. */
  offer(frame: Frame): boolean;
  /** Sends a frame, room or not. */
  force(frame: Frame): void;
  /** Queues for room, behind all that was queued before. */
  wait(waiting: Waiting): void;
}

/** Whose subscription it is. */
export interface Subscriber {
  readonly outlet: Outlet;
  /** The topic is gone: the subscription is closed, and nothing of it comes after what waits for it now. */
  topicDeleted(subscription: Subscription): void;
}

/** Somebody who waits for room in an outlet. */
export interface Waiting {
  /** Offers what waits. True when the turn is over, false when the room ran out first. */
  drain(): boolean;
}

/**
 * A subscription is either *live*, when the feed hands it each message and nothing waits, or *behind*. Behind, it has
 * no queue of its own: it is a cursor into the feed's window, which holds the newest messages once for all who are
 * behind. What has left the window before the cursor got there is lost, and told.
 */
export class Subscription implements Waiting {
  readonly feed: Feed;
  readonly clientId: string;
  readonly #subscriber: Subscriber;
  readonly #outlet: Outlet;
  /** Offset of the last message that needs no more handing on, as of when it was last behind. */
  #cursor = 0;
  /** What goes out before the window does: a replay, or what was queued when it was closed. */
  #held: Frame[] = [];
  /** How many of the held ones are gone. */
  #heldSent = 0;
  /** The offset up to which this turn at the outlet goes, so that a busy topic does not keep others from theirs. */
  #turnEnd: number | undefined;
  #closed = false;

  constructor(feed: Feed, clientId: string, subscriber: Subscriber) {
    this.feed = feed;
    this.clientId = clientId;
    this.#subscriber = subscriber;
    this.#outlet = subscriber.outlet;
  }

  get topic(): string {
    return this.feed.topic;
  }

  /** Takes a message as it is delivered. False when there is no room: then it has fallen behind. */
  receive(message: Message): boolean {
    return this.has(message) || this.#outlet.offer(message);
  }

  /** Whether a message is among those that were handed on, or that the subscriber did not ask for. */
  has(message: Message): boolean {
    return message.offset <= this.#cursor;
  }

  /** Sets where to begin: `replay` first, then what comes after `offset`. */
  seek(replay: readonly Message[], offset: number): void {
    this.#held = [...replay];
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

  drain(): boolean {
    if (!this.#drainHeld()) return false;
    if (this.#closed) return true;
    this.#turnEnd ??= this.feed.last;
    while (this.#cursor < this.#turnEnd) {
      if (!this.#drainNext()) return false;
    }
    this.#turnEnd = undefined;
    if (this.#cursor < this.feed.last) this.#outlet.wait(this);
    else this.feed.caughtUp(this);
    return true;
  }

  /** Ends it. What waits is still handed on, and nothing that is published from now on. */
  close(): void {
    if (this.feed.isBehind(this)) {
      const loss = this.#loss();
      this.#held = [
        ...this.#held.slice(this.#heldSent),
        ...(loss ? [loss.notice] : []),
        ...this.feed.window.since(this.#cursor + 1),
      ];
      this.#heldSent = 0;
    }
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

  #drainNext(): boolean {
    const { window } = this.feed;
    const loss = this.#loss();
    if (!loss) {
      if (!this.#outlet.offer(window.at(this.#cursor + 1))) return false;
      this.#cursor++;
      return true;
    }
    if (!this.#outlet.offer(loss.notice)) return false;
    // The notice and the event that ends the run of losses go together, or the run would be told in two pieces.
    this.#outlet.force(window.at(window.first));
    this.#cursor = window.first;
    return true;
  }

  /** What has left the window before it was handed on. */
  #loss(): { notice: Frame } | undefined {
    const from = this.#cursor + 1;
    const to = this.feed.window.first - 1;
    if (to < from) return undefined;
    const dropped = to - from + 1;
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
    return { notice: { text, bytes: text.length } };
  }
}
