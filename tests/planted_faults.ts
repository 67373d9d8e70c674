/** Faults as real servers have had them, planted into the running code to see whether the model finds them. */

import { Broker } from "../src/broker.ts";
import type { HistoryRange, PublishOptions } from "../src/engine.ts";
import { MemoryEngine } from "../src/engine_memory.ts";
import { Outbox } from "../src/outbox.ts";
import type { Draft } from "../src/protocol.ts";
import { Subscription } from "../src/subscription.ts";

/** Plants a fault; the answer takes it out again. */
type Plant = () => () => void;

/** Replaces one method of a class by what `make` makes of it. */
// deno-lint-ignore no-explicit-any
function replace<T extends object>(owner: T, name: keyof T & string, make: (original: any) => any) {
  const original = owner[name];
  owner[name] = make(original);
  return () => {
    owner[name] = original;
  };
}

/** Rewrites frames as they leave; `undefined` keeps a frame from leaving. */
function rewrite(change: (frame: string) => string | undefined): () => void {
  return replace(WebSocket.prototype, "send", (send) =>
    function (this: WebSocket, frame: string) {
      const changed = change(frame);
      if (changed !== undefined) send.call(this, changed);
    });
}

function everyNth(n: number): () => boolean {
  let count = 0;
  return () => ++count % n === 0;
}

const isEvent = (frame: string) => frame.startsWith('{"type":"event"');

export const plantedFaults: Record<string, Plant> = {
  "one event in a thousand is dropped": () => {
    const isDue = everyNth(1000);
    return rewrite((frame) => isEvent(frame) && isDue() ? undefined : frame);
  },
  "one event in a thousand comes twice": () => {
    const isDue = everyNth(1000);
    return replace(Outbox.prototype, "offer", (offer) =>
      function (this: Outbox, frame: never) {
        if (isDue()) offer.call(this, frame);
        return offer.call(this, frame);
      });
  },
  "two neighbours are swapped": () => {
    const isDue = everyNth(500);
    const kept = new WeakMap<WebSocket, string>();
    return replace(
      WebSocket.prototype,
      "send",
      (send) =>
        function (this: WebSocket, frame: string) {
          const before = kept.get(this);
          kept.delete(this);
          if (before === undefined && isEvent(frame) && isDue()) {
            kept.set(this, frame);
            return;
          }
          send.call(this, frame);
          if (before !== undefined) send.call(this, before);
        },
    );
  },
  "a replay is one short": () =>
    replace(
      MemoryEngine.prototype,
      "read",
      (read) =>
        function (this: MemoryEngine, topic: string, range: HistoryRange) {
          return read.call(
            this,
            topic,
            "last" in range ? { last: Math.max(0, range.last - 1) } : range,
          );
        },
    ),
  "a replay overlaps what is live": () =>
    replace(
      Subscription.prototype,
      "seek",
      (seek) =>
        function (this: Subscription, replay: never[], offset: number) {
          seek.call(this, replay, replay.length > 0 ? offset - 1 : offset);
          if (replay.length > 0) this.feed.window.restart(offset);
          if (replay.length > 0) this.feed.window.push(replay.at(-1)!);
        },
    ),
  "a message is acked and then dropped": () => {
    const isDue = everyNth(200);
    return replace(
      Broker.prototype,
      "message",
      (message) =>
        function (this: Broker, ...event: unknown[]) {
          if (!isDue()) message.apply(this, event);
        },
    );
  },
  "events come after an unsubscribe": () =>
    replace(Broker.prototype, "unsubscribe", () => () => {}),
  "the count of the dropped is wrong": () =>
    rewrite((frame) =>
      frame.replace(/"dropped":(\d+)/, (_, count) => `"dropped":${Number(count) + 1}`)
    ),
  "a loss is not told": () =>
    rewrite((frame) => frame.includes('"SLOW_CONSUMER"') ? undefined : frame),
  "an epoch is kept over a delete": () =>
    replace(crypto, "randomUUID", () => () => "00000000-0000-4000-8000-000000000000"),
  "the overflow policy is ignored": () =>
    replace(
      Broker.prototype,
      "subscribe",
      (subscribe) =>
        function (this: Broker, topic: string, subscriber: unknown, options: object) {
          return subscribe.call(this, topic, subscriber, { ...options, overflow: "drop_oldest" });
        },
    ),
  "own messages come back in spite of echo: false": () =>
    replace(
      Broker.prototype,
      "subscribe",
      (subscribe) =>
        function (this: Broker, topic: string, subscriber: unknown, options: object) {
          return subscribe.call(this, topic, subscriber, { ...options, mutedOrigin: undefined });
        },
    ),
  "an idempotent publish is placed again": () =>
    replace(
      MemoryEngine.prototype,
      "publish",
      (publish) =>
        function (this: MemoryEngine, topic: string, draft: Draft, options: PublishOptions) {
          return publish.call(this, topic, draft, { ...options, idempotent: false });
        },
    ),
  "a recovery is claimed that is not complete": () =>
    rewrite((frame) => frame.replace('"recovered":false,"reason":"evicted"', '"recovered":true')),
  "the receipt counts one subscriber too many": () =>
    rewrite((frame) =>
      frame.replace(/"subscribers":(\d+)/, (_, n) => `"subscribers":${Number(n) + 1}`)
    ),
};
