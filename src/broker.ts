/** Topics, subscriptions and fan-out of this process. Knows no network, and of the engine only its interface. */

import {
  type Awaitable,
  type Engine,
  type EngineSink,
  type History,
  type HistoryRange,
  type Message,
  type Placed,
  type PublishOptions,
  type TopicCreation,
  type TopicSummary,
  whenReady,
} from "./engine.ts";
import { Feed, type Start, type Started } from "./feed.ts";
import type { Draft } from "./protocol.ts";
import type { Turn } from "./turn.ts";
import { type Subscriber, Subscription, type SubscriptionOptions } from "./subscription.ts";

/** The limits and habits of a broker. */
export interface BrokerOptions {
  /** How many messages may wait for one subscription before the oldest is dropped. */
  readonly maxSubscriberQueue: number;
  /** Whether publishing or subscribing to an unknown topic makes it. */
  readonly autoCreateTopics: boolean;
}

/** What is known of one topic. */
export interface TopicStatus extends TopicSummary {
  /** How many subscriptions it has in this process. */
  readonly subscribers: number;
  /** How many of them have messages waiting because their connection has no room. */
  readonly lagging: number;
  /** How many messages slow subscriptions lost, all together. */
  readonly dropped: number;
}

/** What a publisher is told. */
export interface Receipt extends Placed {
  /** To how many subscriptions of this process the message was handed or queued. */
  readonly subscribers: number;
}

/** A subscription that has its place and waits to be started, after its ack. */
export interface Opened {
  readonly subscription: Subscription;
  readonly started: Started;
}

/** How a subscription is asked for. */
export type SubscribeOptions = SubscriptionOptions & Start;

/** All topics as this process sees them. Answers at once where the engine does. */
export class Broker implements EngineSink {
  readonly #engine: Engine;
  readonly #turn: Turn;
  readonly #options: BrokerOptions;
  /** Of every topic that has a subscription here. */
  readonly #feeds = new Map<string, Feed>();
  /** What was lost in topics by subscriptions whose feed is gone. */
  readonly #droppedBefore = new Map<string, number>();

  constructor(engine: Engine, turn: Turn, options: BrokerOptions) {
    this.#engine = engine;
    this.#turn = turn;
    this.#options = options;
    engine.connect(this);
  }

  /** Makes a topic, if there is none of this name and not too many others. */
  createTopic(topic: string): Awaitable<TopicCreation> {
    return this.#engine.createTopic(topic);
  }

  /** Deletes a topic and ends its subscriptions. False when there is none of this name. */
  deleteTopic(topic: string): Awaitable<boolean> {
    return this.#engine.deleteTopic(topic);
  }

  /** How many topics there are. */
  countTopics(): Awaitable<number> {
    return this.#engine.countTopics();
  }

  /** How many subscriptions there are in this process. */
  countSubscribers(): number {
    let count = 0;
    for (const feed of this.#feeds.values()) count += feed.size;
    return count;
  }

  /** All topics, in no promised order. */
  listTopics(): Awaitable<readonly TopicStatus[]> {
    return whenReady(this.#engine.listTopics(), (topics) =>
      topics.map((topic) => {
        const feed = this.#feeds.get(topic.name);
        return {
          ...topic,
          subscribers: feed?.size ?? 0,
          lagging: feed?.lagging ?? 0,
          dropped: (this.#droppedBefore.get(topic.name) ?? 0) + (feed?.dropped ?? 0),
        };
      }));
  }

  /**
   * Places a message and delivers it. `undefined` when the topic does not exist, `"id_reused"` when an idempotent
   * message has the id of one with another payload, `"too_many"` when the topic was to be made and there are too many.
   */
  publish(
    topic: string,
    draft: Draft,
    options: PublishOptions,
  ): Awaitable<Receipt | "id_reused" | "too_many" | undefined> {
    const placed = this.#engine.publish(topic, draft, options);
    // Most go this way: no promise, no closure.
    if (placed !== undefined && !(placed instanceof Promise)) return this.#receiptOf(topic, placed);
    const again = () => this.#engine.publish(topic, draft, options);
    return whenReady(
      this.#orMade(topic, placed, again),
      (placed) => placed && this.#receiptOf(topic, placed),
    );
  }

  #receiptOf<Refused extends string>(topic: string, placed: Placed | Refused): Receipt | Refused {
    if (typeof placed === "string") return placed;
    const { epoch, offset, duplicate } = placed;
    const subscribers = duplicate ? 0 : this.#feeds.get(topic)?.size ?? 0;
    return { epoch, offset, duplicate, subscribers };
  }

  /**
   * Opens a subscription, not yet started. `undefined` when the topic does not exist, `"too_many"` when it was to be
   * made and there are too many.
   */
  subscribe(
    topic: string,
    subscriber: Subscriber,
    options: SubscribeOptions,
  ): Awaitable<Opened | "too_many" | undefined> {
    const open = () => this.#open(topic, subscriber, options);
    return this.#orMade(topic, open(), open);
  }

  /** Ends a subscription; what is already queued for it still goes out. */
  unsubscribe(subscription: Subscription): void {
    subscription.close();
    this.#dropIfUnused(subscription.feed);
  }

  /** Ends a subscription whose connection is gone. */
  abandon(subscription: Subscription): void {
    subscription.abandon();
    this.#dropIfUnused(subscription.feed);
  }

  /** Reads a topic's history. `undefined` when the topic does not exist. */
  read(topic: string, range: HistoryRange): Awaitable<History | undefined> {
    return this.#engine.read(topic, range);
  }

  message(topic: string, epoch: string, message: Message): void {
    this.#feeds.get(topic)?.accept(epoch, message);
  }

  deleted(topic: string): void {
    const feed = this.#feeds.get(topic);
    this.#droppedBefore.delete(topic);
    if (!feed) return;
    this.#feeds.delete(topic);
    for (const subscription of feed.subscriptions) subscription.end();
  }

  #open(
    topic: string,
    subscriber: Subscriber,
    options: SubscribeOptions,
  ): Awaitable<Opened | undefined> {
    return whenReady(this.#feedOf(topic), (feed) => {
      const subscription = new Subscription(feed, subscriber, options);
      const joined = feed.join(subscription, options);
      if (joined instanceof Promise) joined.catch(() => this.abandon(subscription));
      return whenReady(joined, (started) => {
        const isOutdated = this.#feeds.get(topic) !== feed;
        if (started && !isOutdated) return { subscription, started };
        this.abandon(subscription);
        // The topic was deleted while the engine was asked, and may have been made again.
        return isOutdated ? this.#open(topic, subscriber, options) : undefined;
      });
    });
  }

  /** Makes a topic that was missing, where the settings say so, and tries again. */
  #orMade<T>(
    topic: string,
    tried: Awaitable<T | undefined>,
    again: () => Awaitable<T | undefined>,
  ): Awaitable<T | "too_many" | undefined> {
    if (!this.#options.autoCreateTopics) return tried;
    return whenReady<T | undefined, T | "too_many" | undefined>(tried, (result) => {
      if (result !== undefined) return result;
      return whenReady<TopicCreation, T | "too_many" | undefined>(
        this.#engine.createTopic(topic),
        (creation) => creation === "too_many" ? creation : again(),
      );
    });
  }

  #feedOf(topic: string): Awaitable<Feed> {
    const feed = this.#feeds.get(topic) ?? this.#makeFeed(topic);
    return whenReady(feed.listening, () => feed);
  }

  #makeFeed(topic: string): Feed {
    const feed = new Feed(topic, this.#engine, {
      maxQueue: this.#options.maxSubscriberQueue,
      turn: this.#turn,
    });
    this.#feeds.set(topic, feed);
    const { listening } = feed;
    if (listening instanceof Promise) listening.catch(() => this.#dropIfUnused(feed));
    return feed;
  }

  #dropIfUnused(feed: Feed): void {
    const { topic, dropped } = feed;
    if (feed.size > 0 || this.#feeds.get(topic) !== feed) return;
    this.#feeds.delete(topic);
    if (dropped > 0) {
      this.#droppedBefore.set(topic, (this.#droppedBefore.get(topic) ?? 0) + dropped);
    }
    void this.#engine.unlisten(topic);
  }
}
