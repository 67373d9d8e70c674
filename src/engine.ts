/**
 * The seam between the broker and what places, keeps and carries messages. One engine per process; the one in memory
 * answers at once, one over a network answers with promises, and the broker serves both.
 */

import type { Draft, Position } from "./protocol.ts";

/** A value now, or a promise of it from an engine that has to ask. */
export type Awaitable<T> = T | Promise<T>;

/** Goes on with a value at once when it is there, so that the road through memory stays synchronous. */
export function whenReady<T, R>(
  value: Awaitable<T>,
  next: (value: T) => Awaitable<R>,
): Awaitable<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** A text frame, encoded once for all who get it. */
export interface Frame {
  readonly text: string;
  /** Its length in UTF-8 bytes. */
  readonly bytes: number;
}

/** A message that has its place in a topic, as the event frame that its subscribers get. */
export interface Message extends Frame {
  readonly offset: number;
  /** Who published it, where that is known. Never empty. */
  readonly origin: string | undefined;
}

/** How a message is to be published. */
export interface PublishOptions {
  /** Who publishes it. Never empty. */
  readonly origin?: string;
  /** Whether a message with the same id, published so a short while ago, stands for this one. */
  readonly idempotent?: boolean;
}

/** The place that a message has. */
export interface Placed extends Position {
  /** Whether it has had it before: it is delivered once. */
  readonly duplicate: boolean;
}

/** The newest messages, or those after an offset, oldest first and `limit` of them at the most. */
export type HistoryRange =
  | { readonly last: number }
  | { readonly after: number; readonly limit?: number };

/** A stretch of history without holes, and the topic's position as of the same moment. */
export interface History extends Position {
  /** Oldest first. It begins later than asked for when history no longer holds all. */
  readonly messages: readonly Message[];
}

/** What an engine knows of a topic. */
export interface TopicSummary {
  readonly name: string;
  /** How many messages were ever published to it. */
  readonly messages: number;
  /** What is held for replay. */
  readonly history: { readonly messages: number; readonly bytes: number };
  /** How many messages were given up before their time, to keep all history within its budget. */
  readonly evicted: number;
}

/** What became of the making of a topic. */
export type TopicCreation = "created" | "exists" | "too_many";

/** Takes what an engine carries. Must not throw and must not wait. */
export interface EngineSink {
  /** A message of a topic that is listened to. May come late, twice or out of order; may be lost. */
  message(topic: string, epoch: string, message: Message): void;
  /** A topic that is listened to is no more. */
  deleted(topic: string, epoch: string): void;
}

/**
 * Places, keeps and carries messages.
 *
 * The contract: events may be lost, doubled or late; offsets and epochs never lie. What is asked of a topic that does
 * not exist is answered with `undefined` or `false`. A promise that rejects means that the outcome is not known.
 */
export interface Engine {
  /** Sends all events from now on to the sink. Called once, before anything else. */
  connect(sink: EngineSink): void;
  /**
   * Makes a topic: a new epoch, an empty history. `"exists"` when there is one of this name, else `"too_many"` when
   * there are as many as there may be. It counts and makes in one step that nothing can split.
   */
  createTopic(topic: string): Awaitable<TopicCreation>;
  /** Deletes a topic with its history; its messages reach the sink before `deleted` does. */
  deleteTopic(topic: string): Awaitable<boolean>;
  /** How many topics there are. */
  countTopics(): Awaitable<number>;
  /** All topics, in no promised order. */
  listTopics(): Awaitable<readonly TopicSummary[]>;
  /**
   * Gives a message its offset and keeps it, in one step. `"id_reused"` when it is to be idempotent and its id stands
   * for another payload.
   */
  publish(
    topic: string,
    draft: Draft,
    options: PublishOptions,
  ): Awaitable<Placed | "id_reused" | undefined>;
  /** Reads history and position as of one moment. */
  read(topic: string, range: HistoryRange): Awaitable<History | undefined>;
  /** Starts carrying a topic's events to the sink; those placed after the answer are carried. */
  listen(topic: string): Awaitable<void>;
  /** Stops carrying a topic's events. */
  unlisten(topic: string): Awaitable<void>;
  /** Lets go of what the engine holds outside this process. */
  close(): Awaitable<void>;
}
