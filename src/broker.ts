/** Topics, subscriptions and fan-out of this process. Knows no network, and of the engine only its interface. */

import { type Awaitable, type Engine, type EngineSink, type Message, whenReady } from "./engine.ts";
import { Feed } from "./feed.ts";
import type { Draft, Position } from "./protocol.ts";
import { type Subscriber, Subscription } from "./subscription.ts";

/** The limits and habits of a broker. */
export interface BrokerOptions {
  /** How many messages may wait for one subscription before the oldest is dropped. */
  readonly maxSubscriberQueue: number;
  /** Whether publishing or subscribing to an unknown topic makes it. */
  readonly autoCreateTopics: boolean;
}

/** What is known of one topic. */
export interface TopicStatus {
  readonly name: string;
  /** How many messages were ever published to it. */
  readonly messages: number;
  /** How many subscriptions it has in this process. */
  readonly subscribers: number;
}

/** A subscription that has its place and waits to be started, after its ack. */
export interface Opened {
  readonly subscription: Subscription;
  /** Where its live messages begin. */
  readonly position: Position;
}

/** How a subscription is asked for. */
export interface SubscribeOptions {
  readonly clientId: string;
  /** How many of the newest messages to replay. */
  readonly lastN: number;
}

/** All topics as this process sees them. Answers at once where the engine does. */
export class Broker implements EngineSink {
  readonly #engine: Engine;
  readonly #options: BrokerOptions;
  /** Of every topic that has a subscription here. */
  readonly #feeds = new Map<string, Feed>();

  constructor(engine: Engine, options: BrokerOptions) {
    this.#engine = engine;
    this.#options = options;
    engine.connect(this);
  }

  /** Makes a topic. False when there is one of this name. */
  createTopic(topic: string): Awaitable<boolean> {
    return this.#engine.createTopic(topic);
  }

  /** Deletes a topic and ends its subscriptions. False when there is none of this name. */
  deleteTopic(topic: string): Awaitable<boolean> {
    return this.#engine.deleteTopic(topic);
  }

  countTopics(): Awaitable<number> {
    return this.#engine.countTopics();
  }

  /** How many subscriptions there are in this process. */
  countSubscribers(): number {
    let count = 0;
    for (const feed of this.#feeds.values()) count += feed.size;
    return count;
  }

  listTopics(): Awaitable<readonly TopicStatus[]> {
    return whenReady(
      this.#engine.listTopics(),
      (topics) =>
        topics.map(({ name, messages }) => ({
          name,
          messages,
          subscribers: this.#feeds.get(name)?.size ?? 0,
        })),
    );
  }

  /** Places a message and delivers it. `undefined` when the topic does not exist. */
  publish(topic: string, draft: Draft): Awaitable<Position | undefined> {
    return this.#inTopic(topic, () => this.#engine.publish(topic, draft));
  }

  /** Opens a subscription, not yet started. `undefined` when the topic does not exist. */
  subscribe(
    topic: string,
    subscriber: Subscriber,
    options: SubscribeOptions,
  ): Awaitable<Opened | undefined> {
    return this.#inTopic(topic, () =>
      whenReady(this.#feedOf(topic), (feed) => {
        const subscription = new Subscription(feed, options.clientId, subscriber);
        return whenReady(feed.join(subscription, { last: options.lastN }), (position) => {
          if (position) return { subscription, position };
          subscription.abandon();
          this.#dropIfUnused(feed);
          return undefined;
        });
      }));
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

  message(topic: string, epoch: string, message: Message): void {
    this.#feeds.get(topic)?.accept(epoch, message);
  }

  deleted(topic: string): void {
    const feed = this.#feeds.get(topic);
    if (!feed) return;
    this.#feeds.delete(topic);
    for (const subscription of feed.subscriptions) subscription.end();
  }

  /** Tries again with the topic made, where the settings say so. */
  #inTopic<T>(topic: string, attempt: () => Awaitable<T | undefined>): Awaitable<T | undefined> {
    return whenReady(attempt(), (result) => {
      if (result !== undefined || !this.#options.autoCreateTopics) return result;
      return whenReady(this.#engine.createTopic(topic), attempt);
    });
  }

  #feedOf(topic: string): Awaitable<Feed> {
    const existing = this.#feeds.get(topic);
    if (existing) return existing;
    const feed = new Feed(topic, this.#engine, { maxQueue: this.#options.maxSubscriberQueue });
    this.#feeds.set(topic, feed);
    return whenReady(this.#engine.listen(topic), () => feed);
  }

  #dropIfUnused(feed: Feed): void {
    if (feed.size > 0 || this.#feeds.get(feed.topic) !== feed) return;
    this.#feeds.delete(feed.topic);
    void this.#engine.unlisten(feed.topic);
  }
}
