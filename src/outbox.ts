/**
 * What leaves for one connection, in one order: straight to the socket while it keeps up, and queued behind each other
 * when it does not. Answers and infos are queued as they are; a subscription queues itself, and fetches its messages
 * when its turn comes.
 */

import { Deque } from "@std/data-structures/deque";
import type { Frame } from "./engine.ts";
import { type Closing, closings } from "./errors.ts";
import type { Outlet, Waiting } from "./subscription.ts";

/** The network under a session. */
export interface Connection {
  /** Sends one text frame; does nothing once the connection is closing. */
  send(text: string): void;
  close(closing: Closing): void;
  /** How many bytes were sent and are not yet written to the network. */
  readonly bufferedBytes: number;
}

/**
 * The runtime writes to sockets only between turns of the loop, and one turn can bring megabytes of publishes. Within a
 * turn a connection may therefore buffer this many times its limit; whether it is slow shows when the turn is over.
 */
const burstFactor = 4;

/** How rarely a connection that does not move is looked at, at the most. */
const maxLookIntervalMs = 100;

/** The limits of one connection. */
export interface OutboxOptions {
  /** How many bytes the socket may hold unwritten, turn after turn, before frames are queued. */
  readonly maxBufferedBytes: number;
  /** How many bytes of answers and infos may be queued before the connection is closed. */
  readonly maxControlBacklogBytes: number;
  /** Takes note that a connection is closed because its answers went unread. */
  readonly onControlBacklogFull: () => void;
  /** How long a connection may write nothing while something waits, in milliseconds. */
  readonly stallTimeoutMs: number;
}

/** The way out of one connection: frames leave in the order in which they were given. */
export class Outbox implements Outlet {
  readonly #connection: Connection;
  readonly #drainer: Drainer;
  readonly #options: OutboxOptions;
  readonly #backlog = new Deque<string | Waiting>();
  /** How many bytes may be sent before looking at the connection again: a look costs more than a count. */
  #room = 0;
  #controlBytes = 0;
  /** It was over the limit when a turn was over, and has not been at half of it since. */
  #isCongested = false;
  /** What was buffered after the last look: less of it since means that the connection moves. */
  #bufferedBefore = 0;
  #movedAtMs = 0;
  #nextLookMs = 0;
  #closed = false;

  constructor(connection: Connection, drainer: Drainer, options: OutboxOptions) {
    this.#connection = connection;
    this.#drainer = drainer;
    this.#options = options;
  }

  /** Whether nothing waits here: what the network still buffers, it writes before a close. */
  get isFlushed(): boolean {
    return this.#backlog.isEmpty();
  }

  offer(frame: Frame): boolean {
    if (this.#room <= 0 && !this.#look()) return false;
    this.force(frame);
    return true;
  }

  force(frame: Frame): void {
    this.#room -= frame.bytes;
    this.#connection.send(frame.text);
  }

  wait(waiting: Waiting): void {
    // It may come while there is room, and must not be overtaken. While draining there are others before it.
    if (this.#backlog.isEmpty()) this.#room = 0;
    this.#queue(waiting);
  }

  /** Sends an answer or an info; never dropped, but whoever lets too many pile up is closed with 4008. */
  control(text: string): void {
    if (this.#room > 0 || this.#look()) {
      this.#room -= text.length;
      this.#connection.send(text);
      return;
    }
    // Only the first in the queue can be in the middle of its turn.
    const first = this.#backlog.peekFront();
    if (typeof first === "object") first.prolong?.();
    this.#queue(text);
    this.#controlBytes += text.length;
    if (this.#controlBytes <= this.#options.maxControlBacklogBytes || this.#closed) return;
    this.#options.onControlBacklogFull();
    this.close(closings.tooSlow);
  }

  /** Sends what waits, as far as there is room. True when nothing does any more. To be called once in a turn. */
  drain(nowMs: number): boolean {
    if (this.#closed) return true;
    if (nowMs < this.#nextLookMs) return false;
    const { maxBufferedBytes } = this.#options;
    const buffered = this.#connection.bufferedBytes;
    if (this.#movedAtMs === 0 || buffered < this.#bufferedBefore) this.#movedAtMs = nowMs;
    if (buffered > maxBufferedBytes) this.#isCongested = true;
    if (buffered * 2 <= maxBufferedBytes) {
      this.#isCongested = false;
      this.#room = maxBufferedBytes - buffered;
      this.#drainBacklog();
    }
    if (this.#backlog.isEmpty() && !this.#isCongested) {
      this.#movedAtMs = 0;
      this.#nextLookMs = 0;
      return true;
    }
    this.#room = 0;
    this.#bufferedBefore = this.#connection.bufferedBytes;
    this.#closeIfStalled(nowMs);
    return this.#closed;
  }

  /** Ends the connection; what waits is forgotten. */
  close(closing: Closing): void {
    if (this.#closed) return;
    this.forget();
    this.#connection.close(closing);
  }

  /** Ends the connection once all that waits now is sent. */
  closeWhenFlushed(closing: Closing): void {
    this.wait({
      drain: () => {
        this.close(closing);
        return true;
      },
    });
  }

  /** The connection has ended. */
  forget(): void {
    this.#closed = true;
    this.#backlog.clear();
    this.#drainer.unwatch(this);
  }

  #queue(entry: string | Waiting): void {
    if (this.#closed) return;
    this.#backlog.pushBack(entry);
    this.#drainer.watch(this);
  }

  /** Finds out how much room there is. None while anything waits: it would be overtaken. */
  #look(): boolean {
    if (this.#isCongested || !this.#backlog.isEmpty()) return false;
    const { maxBufferedBytes } = this.#options;
    const buffered = this.#connection.bufferedBytes;
    this.#room = maxBufferedBytes - buffered;
    if (this.#room > 0) return true;
    this.#drainer.watch(this);
    this.#room = burstFactor * maxBufferedBytes - buffered;
    return this.#room > 0;
  }

  #drainBacklog(): void {
    for (let next; this.#room > 0 && (next = this.#backlog.peekFront()) !== undefined;) {
      if (typeof next === "string") {
        this.#controlBytes -= next.length;
        this.#room -= next.length;
        this.#connection.send(next);
      } else if (!next.drain()) {
        return;
      }
      this.#backlog.popFront();
    }
  }

  #closeIfStalled(nowMs: number): void {
    // The longer nothing moves, the less often it is worth a look: hundreds that stall should cost nobody anything.
    this.#nextLookMs = nowMs + Math.min(maxLookIntervalMs, (nowMs - this.#movedAtMs) / 8);
    if (nowMs - this.#movedAtMs > this.#options.stallTimeoutMs) this.close(closings.tooSlow);
  }
}

/**
 * Looks after the outboxes that have no room, once in a turn of the loop at the most: the runtime does not tell when a
 * socket has room again.
 */
export class Drainer {
  readonly #intervalMs: number;
  readonly #onThrow: (thrown: unknown) => void;
  readonly #watched = new Set<Outbox>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `onThrow` takes what draining an outbox throws; the others go on. */
  constructor(intervalMs: number, onThrow: (thrown: unknown) => void) {
    this.#intervalMs = intervalMs;
    this.#onThrow = onThrow;
  }

  watch(outbox: Outbox): void {
    this.#watched.add(outbox);
    this.#timer ??= setTimeout(() => this.#drainAll(), 0);
  }

  unwatch(outbox: Outbox): void {
    this.#watched.delete(outbox);
    if (this.#watched.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #drainAll(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const outbox of this.#watched) {
      try {
        if (outbox.drain(nowMs)) this.unwatch(outbox);
      } catch (thrown) {
        this.#onThrow(thrown);
        outbox.close(closings.bug);
      }
    }
    if (this.#watched.size > 0) {
      this.#timer ??= setTimeout(() => this.#drainAll(), this.#intervalMs);
    }
  }
}
