/** What becomes of subscribers when the engine loses, forgets, fails, or answers late, as one over a network does. */

import { assertEquals, assertNotEquals } from "@std/assert";
import { defaultConfig } from "../src/config.ts";
import type { Engine, EngineSink, HistoryRange } from "../src/engine.ts";
import { MemoryEngine } from "../src/engine_memory.ts";
import {
  Client,
  deleteTopic,
  getJson,
  makeTopic,
  publish,
  Random,
  range,
  type Received,
  serve,
  subscribe,
  type TestServer,
  until,
} from "./harness.ts";
import { LateEngine } from "./late_engine.ts";
import { TcpClient } from "./tcp_client.ts";
import { Valves } from "./valve.ts";

/** Keeps messages in memory, and does what an engine over a network may do where a test tells it to. */
class MoodyEngine extends MemoryEngine {
  /** Offsets of messages that it does not carry. */
  readonly lost = new Set<number>();
  /** How many of the next reads and listens fail. */
  failures = 0;
  /** How many calls wait for their answer. */
  waiting = 0;
  #answers: Promise<void> | undefined;
  #isListening = false;

  constructor(maxHistory: number) {
    super(defaultConfig({ maxHistory }));
  }

  /** Keeps answers back until the result is called. */
  holdAnswers(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answers = promise;
    return () => {
      this.#answers = undefined;
      resolve();
    };
  }

  override connect(sink: EngineSink): void {
    super.connect({
      message: (topic, epoch, message) => {
        if (this.#isListening && !this.lost.has(message.offset)) {
          sink.message(topic, epoch, message);
        }
      },
      deleted: (topic, epoch) => sink.deleted(topic, epoch),
    });
  }

  override read(topic: string, range: HistoryRange) {
    return this.#answer(super.read(topic, range));
  }

  override listen() {
    return this.#answer(undefined, () => this.#isListening = true);
  }

  /** Answers as of now, but perhaps later. */
  #answer<T>(answer: T, take = () => {}): T {
    if (this.failures > 0) {
      this.failures--;
      return Promise.reject(new Error("planted")) as T;
    }
    if (!this.#answers) {
      take();
      return answer;
    }
    this.waiting++;
    return this.#answers.then(() => {
      this.waiting--;
      take();
      return answer;
    }) as T;
  }
}

Deno.test("what an engine lost, and its history holds, comes in its place", async () => {
  const engine = new MoodyEngine(100);
  await using server = await serve({ topics: ["t"] }, { engine });
  await using client = await Client.connect(server);
  await client.request(subscribe("t"));
  for (const offset of [2, 3, 5]) engine.lost.add(offset);
  await publishAll(client, 6);
  assertEquals(streamOf(client), [1, 2, 3, 4, 5, 6]);
});

Deno.test("what an engine lost, and its history no longer holds, is told as one exact range", async () => {
  const engine = new MoodyEngine(3);
  await using server = await serve({ topics: ["t"] }, { engine });
  await using client = await Client.connect(server);
  await client.request(subscribe("t"));
  for (const offset of [3, 4, 5, 6]) engine.lost.add(offset);
  await publishAll(client, 8);
  assertEquals(streamOf(client), [1, 2, "3-4", 5, 6, 7, 8]);
});

Deno.test("what an engine lost is told when it keeps no history at all", async () => {
  const engine = new MoodyEngine(0);
  await using server = await serve({ topics: ["t"] }, { engine });
  await using client = await Client.connect(server);
  await client.request(subscribe("t"));
  engine.lost.add(3);
  await publishAll(client, 5);
  assertEquals(streamOf(client), [1, 2, "3-3", 4, 5]);
});

Deno.test("a subscriber misses nothing that is published while the engine answers its subscribe", async () => {
  const engine = new MoodyEngine(100);
  const { ack, stream } = await subscribeDuring(engine, (publisher) => publishAll(publisher, 20));
  assertEquals([ack.offset, stream], [0, range(1, 20)]);
});

Deno.test("a subscriber is told what history gave up while the engine answers its subscribe", async () => {
  const engine = new MoodyEngine(3);
  const { ack, stream } = await subscribeDuring(engine, (publisher) => publishAll(publisher, 20));
  assertEquals([ack.offset, stream], [0, ["1-15", 16, 17, 18, 19, 20]]);
});

Deno.test("a topic that is deleted while the engine answers a subscribe cannot be found", async () => {
  const engine = new MoodyEngine(100);
  const { ack, client } = await subscribeDuring(engine, (_, server) => deleteTopic(server, "t"));
  assertEquals(ack.error.code, "TOPIC_NOT_FOUND");
  assertEquals(client.received.filter(({ type }) => type === "info"), []);
});

Deno.test("a topic that is made again while the engine answers a subscribe is the new one", async () => {
  const engine = new MoodyEngine(100);
  let before: Received;
  const { ack, stream } = await subscribeDuring(engine, async (publisher, server) => {
    before = await publisher.request(publish("t", "before"));
    await deleteTopic(server, "t");
    await makeTopic(server, "t");
  }, (publisher) => publishAll(publisher, 2));
  assertNotEquals(ack.epoch, before.epoch);
  assertEquals([ack.offset, stream], [0, [1, 2]]);
});

Deno.test("a subscription whose replacement is under way is told once that its topic is deleted", async () => {
  const engine = new MoodyEngine(100);
  await using server = await serve({ topics: ["t"] }, { engine });
  await using client = await Client.connect(server);
  await client.request(subscribe("t"));
  const release = engine.holdAnswers();
  const answered = client.request(subscribe("t"));
  await until(() => engine.waiting === 1, "the engine is asked");
  await deleteTopic(server, "t");
  release();
  assertEquals((await answered).error.code, "TOPIC_NOT_FOUND");
  await client.fence();
  const infos = client.received.filter(({ type }) => type === "info");
  assertEquals(infos.map(({ msg }) => msg), ["topic_deleted"]);
});

Deno.test("subscribers that come together all wait until the engine listens", async () => {
  const engine = new MoodyEngine(100);
  await using server = await serve({ topics: ["t"] }, { engine });
  await using publisher = await Client.connect(server);
  await using first = await Client.connect(server);
  await using second = await Client.connect(server);
  const release = engine.holdAnswers();
  const acks = [first.request(subscribe("t"))];
  await until(() => engine.waiting === 1, "the engine is asked to listen");
  acks.push(second.request(subscribe("t")));
  await publisher.fence();
  await publisher.request(publish("t", "not carried"));
  release();
  const offsets = (await Promise.all(acks)).map(({ offset }) => offset);
  assertEquals(offsets, [1, 1], "what was not carried is behind them");
});

Deno.test("a connection that ends while the engine answers its subscribe leaves no subscription", async () => {
  const engine = new MoodyEngine(100);
  await using server = await serve({ topics: ["t"] }, { engine });
  const client = await Client.connect(server);
  const release = engine.holdAnswers();
  client.send(subscribe("t"));
  await until(() => engine.waiting === 1, "the engine is asked");
  await client.close();
  await until(
    async () => (await getJson(server, "/stats")).connections === 0,
    "the server knows that it has ended",
  );
  release();
  await until(() => engine.waiting === 0, "the engine has answered");
  assertEquals((await getJson(server, "/health")).subscribers, 0);
});

Deno.test("a subscribe that the engine fails to answer is an INTERNAL and leaves no subscription", async () => {
  const engine = new MoodyEngine(100);
  await using server = await serve({ topics: ["t"] }, { engine });
  await using client = await Client.connect(server);
  engine.failures = 2;
  for (const _ of ["listening", "reading"]) {
    assertEquals((await client.request(subscribe("t"))).error.code, "INTERNAL");
    assertEquals((await getJson(server, "/health")).subscribers, 0);
  }
  await client.request(subscribe("t"));
  await publishAll(client, 2);
  assertEquals(streamOf(client), [1, 2]);
});

Deno.test("catch_up: a stall misses nothing with an engine that answers late, loses and reorders", async () => {
  const random = new Random();
  await stallWhilePublishing(new LateEngine(1_000, random), async (stalled, resume) => {
    resume();
    // The newest may still be on their way to the feed, and what was lost after them is not missed yet.
    await stalled.until(() => streamOf(stalled).length > stallLength - 50);
    const stream = streamOf(stalled);
    assertEquals(stream, range(1, stream.length), `SEED=${random.seed}`);
  });
});

Deno.test("catch_up: a read that fails is tried again", async () => {
  const engine = new MoodyEngine(1_000);
  await stallWhilePublishing(engine, async (stalled, resume) => {
    engine.failures = 3;
    resume();
    await stalled.until(() => streamOf(stalled).length === stallLength);
    assertEquals([engine.failures, streamOf(stalled)], [0, range(1, stallLength)]);
  });
});

Deno.test("catch_up: a topic that is deleted while the engine is asked leaves nothing untold", async () => {
  const engine = new MoodyEngine(1_000);
  await stallWhilePublishing(engine, async (stalled, resume, server) => {
    const release = engine.holdAnswers();
    resume();
    await until(() => engine.waiting === 1, "the engine is asked");
    await deleteTopic(server, "t");
    await stalled.until(() => stalled.received.at(-1)?.msg === "topic_deleted");
    release();
    await stalled.fence();
    const stream = streamOf(stalled);
    const lossAt = stream.findIndex((item) => typeof item === "string");
    const lost = `${lossAt + 1}-${stallLength - 5}`;
    assertEquals(stream, [...range(1, lossAt), lost, ...range(stallLength - 4, stallLength)]);
    assertEquals(stalled.received.at(-2).msg, "topic_deleted");
  });
});

/** How many messages are published during a stall. */
const stallLength = 200;

/** Stalls a subscription that catches up, publishes more than its queue holds, and lets a test go on from there. */
async function stallWhilePublishing(
  engine: Engine,
  goOn: (stalled: TcpClient, resume: () => void, server: TestServer) => Promise<void>,
): Promise<void> {
  using valves = new Valves();
  await using server = await serve({ maxBufferedBytes: 1_024, maxSubscriberQueue: 5 }, { engine });
  await makeTopic(server, "t");
  await using stalled = await TcpClient.connect(server.port, "/ws?valve=stalled");
  stalled.send(subscribe("t", { overflow: "catch_up" }));
  await stalled.until(() => stalled.received.length === 1);
  valves.close("stalled");
  await using publisher = await Client.connect(server);
  await publishAll(publisher, stallLength);
  await goOn(stalled, () => valves.open("stalled"), server);
}

/** Subscribes, does something while the engine's answer is kept back, and something else when it has come. */
async function subscribeDuring(
  engine: MoodyEngine,
  meanwhile: (publisher: Client, server: TestServer) => Promise<void>,
  afterwards: (publisher: Client) => Promise<void> = () => Promise.resolve(),
) {
  await using server = await serve({ topics: ["t"], maxSubscriberQueue: 5 }, { engine });
  await using publisher = await Client.connect(server);
  await using client = await Client.connect(server);
  // Somebody who is there already, so that the engine listens.
  await publisher.request(subscribe("t", { client_id: "first" }));
  const release = engine.holdAnswers();
  const answered = client.request(subscribe("t"));
  await until(() => engine.waiting === 1, "the engine is asked");
  await meanwhile(publisher, server);
  release();
  const ack = await answered;
  await afterwards(publisher);
  await client.fence();
  return { ack, client, stream: streamOf(client) };
}

async function publishAll(publisher: Client, count: number): Promise<void> {
  for (let n = 1; n <= count; n++) await publisher.request(publish("t", n));
  await publisher.fence();
}

/** What came of the topic: offsets, and ranges of offsets that are lost. */
function streamOf({ received }: { received: Received[] }): (number | string)[] {
  return received
    .filter(({ type, error }) => type === "event" || error?.code === "SLOW_CONSUMER")
    .map(({ offset, error }) => error ? `${error.from_offset}-${error.to_offset}` : offset);
}
