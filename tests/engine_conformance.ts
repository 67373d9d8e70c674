/** What every engine must keep, as a suite that any engine can be put through. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { Engine, EngineSink, PublishOptions } from "../src/engine.ts";
import type { Draft } from "../src/protocol.ts";
import { until } from "./harness.ts";

/** Notes what an engine carries, as `topic offset` and `topic deleted`. */
class NotingSink implements EngineSink {
  readonly noted: string[] = [];
  readonly texts = new Map<string, string>();
  readonly endedEpochs: string[] = [];

  message(topic: string, epoch: string, message: { offset: number; text: string }): void {
    this.noted.push(`${topic} ${message.offset}`);
    this.texts.set(`${epoch} ${message.offset}`, message.text);
  }

  deleted(topic: string, epoch: string): void {
    this.noted.push(`${topic} deleted`);
    this.endedEpochs.push(epoch);
  }
}

function draft(payload: string): Draft {
  return { id: crypto.randomUUID(), payload: payload as Draft["payload"] };
}

async function place(engine: Engine, topic: string, draft: Draft, options: PublishOptions = {}) {
  const placed = await engine.publish(topic, draft, options);
  assert(placed !== "id_reused", "the id stands for another payload");
  return placed;
}

/** What the suite asks an engine to keep to. */
export interface EngineBounds {
  /** Messages that each topic keeps. */
  readonly maxHistory: number;
  /** Topics that there may be. */
  readonly maxTopics: number;
}

/** Registers the suite for an engine. */
export function testEngine(name: string, make: (bounds: EngineBounds) => Engine): void {
  const test = (promise: string, check: (engine: Engine, sink: NotingSink) => Promise<void>) =>
    Deno.test(`${name}: ${promise}`, async () => {
      const engine = make({ maxHistory: 10, maxTopics: 5 });
      const sink = new NotingSink();
      engine.connect(sink);
      await check(engine, sink);
      await engine.close();
    });

  test("a topic is made once, listed, counted, and deleted once", async (engine) => {
    assertEquals(await engine.createTopic("a"), "created");
    assertEquals(await engine.createTopic("a"), "exists");
    assertEquals(await engine.createTopic("__proto__"), "created");
    assertEquals(await engine.countTopics(), 2);
    const names = (await engine.listTopics()).map(({ name }) => name).sort();
    assertEquals(names, ["__proto__", "a"]);
    assertEquals(await engine.deleteTopic("a"), true);
    assertEquals(await engine.deleteTopic("a"), false);
    assertEquals(await engine.countTopics(), 1);
  });

  test("there are never more topics than there may be, however fast they are made", async (engine) => {
    const making = Array.from({ length: 20 }, (_, n) => engine.createTopic(`t${n % 10}`));
    const made = await Promise.all(making);
    assertEquals(made.filter((creation) => creation === "created").length, 5);
    assertEquals(made.filter((creation) => creation === "exists").length, 5);
    assertEquals(made.filter((creation) => creation === "too_many").length, 10);
    assertEquals(await engine.countTopics(), 5);
    const [{ name } = { name: "" }] = await engine.listTopics();
    assertEquals(await engine.createTopic(name), "exists", "that it exists is said first");
    await engine.deleteTopic(name);
    assertEquals(await engine.createTopic("another"), "created");
    assertEquals(await engine.createTopic(name), "too_many");
  });

  test("what is asked of a topic that does not exist is answered with nothing", async (engine) => {
    assertEquals(await place(engine, "none", draft("1")), undefined);
    assertEquals(await engine.read("none", { last: 1 }), undefined);
  });

  test("offsets are 1, 2, 3 without holes, however fast messages are published", async (engine) => {
    await engine.createTopic("t");
    const placed = await Promise.all(
      Array.from({ length: 50 }, (_, index) => place(engine, "t", draft(String(index)))),
    );
    assertEquals(
      placed.map((position) => position?.offset),
      Array.from({ length: 50 }, (_, index) => index + 1),
    );
    assertEquals(new Set(placed.map((position) => position?.epoch)).size, 1);
    assertEquals((await engine.listTopics())[0]?.messages, 50);
  });

  test("history holds the newest messages, and tells the position as of the same moment", async (engine) => {
    await engine.createTopic("t");
    for (let n = 1; n <= 25; n++) await place(engine, "t", draft(String(n)));
    const offsets = async (range: { last: number } | { after: number }) => {
      const history = await engine.read("t", range);
      assertEquals(history?.offset, 25);
      return history?.messages.map(({ offset }) => offset);
    };
    assertEquals(await offsets({ last: 0 }), []);
    assertEquals(await offsets({ last: 3 }), [23, 24, 25]);
    assertEquals(await offsets({ last: 1e308 }), [16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
    assertEquals(await offsets({ after: 23 }), [24, 25]);
    assertEquals(await offsets({ after: 25 }), []);
    assertEquals(await offsets({ after: 99 }), []);
    assertEquals((await offsets({ after: 3 }))?.length, 10);
    const [last] = (await engine.read("t", { last: 1 }))!.messages;
    assertEquals(JSON.parse(last!.text).message.payload, 25);
    assertEquals(new TextEncoder().encode(last!.text).length, last!.bytes);
    const [summary] = await engine.listTopics();
    assertEquals([summary!.messages, summary!.history.messages, summary!.evicted], [25, 10, 0]);
    assert(summary!.history.bytes > 0);
  });

  test("history has no holes and ends with the position, while messages are published", async (engine) => {
    await engine.createTopic("t");
    const placing = Array.from({ length: 50 }, (_, n) => place(engine, "t", draft(String(n))));
    const reading = Array.from({ length: 10 }, () => engine.read("t", { last: 5 }));
    for (const history of await Promise.all(reading)) {
      const { offset, messages } = history!;
      const expected = [4, 3, 2, 1, 0].map((back) => offset - back).filter((held) => held > 0);
      assertEquals(messages.map((message) => message.offset), expected);
    }
    await Promise.all(placing);
  });

  test("what is placed is carried to the sink, then the topic's end", async (engine, sink) => {
    await engine.createTopic("t");
    await engine.listen("t");
    for (let n = 1; n <= 5; n++) await place(engine, "t", draft(`"ü${n}"`));
    await until(() => sink.noted.includes("t 5"), "the last message came");
    const { epoch } = (await engine.read("t", { last: 0 }))!;
    await engine.deleteTopic("t");
    await until(() => sink.noted.includes("t deleted"), "the end came");
    assertEquals([...new Set(sink.noted)], ["t 1", "t 2", "t 3", "t 4", "t 5", "t deleted"]);
    assertEquals([...new Set(sink.endedEpochs)], [epoch]);
    const { type, topic, message, offset, ts } = JSON.parse(sink.texts.get(`${epoch} 5`)!);
    assertEquals({ type, topic, payload: message.payload, offset }, {
      type: "event",
      topic: "t",
      payload: "ü5",
      offset: 5,
    });
    assert(new Date(ts).toISOString() === ts);
  });

  test("a topic made again is a new one: new epoch, offset 1, empty history", async (engine) => {
    await engine.createTopic("t");
    const first = (await place(engine, "t", draft("1")))!;
    await engine.deleteTopic("t");
    await engine.createTopic("t");
    const { epoch, offset, messages } = (await engine.read("t", { last: 10 }))!;
    assertNotEquals(epoch, first.epoch);
    assertEquals({ offset, messages }, { offset: 0, messages: [] });
    assertEquals(await place(engine, "t", draft("2")), {
      epoch,
      offset: 1,
      duplicate: false,
    });
  });

  test("topics do not see each other's messages", async (engine, sink) => {
    await engine.createTopic("a");
    await engine.createTopic("b");
    await engine.listen("a");
    await engine.listen("b");
    await place(engine, "a", draft("1"));
    await place(engine, "b", draft("1"));
    await place(engine, "b", draft("2"));
    await until(() => sink.noted.includes("b 2") && sink.noted.includes("a 1"), "all came");
    assertEquals((await engine.read("a", { last: 10 }))?.messages.length, 1);
    assertEquals((await engine.read("b", { last: 10 }))?.messages.length, 2);
  });

  test(
    "an idempotent message is placed once, and its id is not for another payload",
    async (engine, sink) => {
      await engine.createTopic("t");
      await engine.listen("t");
      const first = draft("1");
      const again = { ...first, id: first.id.toUpperCase() };
      assertEquals((await place(engine, "t", first, { idempotent: true }))?.duplicate, false);
      await place(engine, "t", draft("2"));
      const repeated = (await place(engine, "t", again, { idempotent: true }))!;
      assertEquals([repeated.offset, repeated.duplicate], [1, true]);
      const other = { ...first, payload: "3" as Draft["payload"] };
      assertEquals(await engine.publish("t", other, { idempotent: true }), "id_reused");
      assertEquals(
        (await place(engine, "t", first))?.offset,
        3,
        "without the flag it is placed again",
      );
      await until(() => sink.noted.includes("t 3"), "the last message came");
      assertEquals([...new Set(sink.noted)], ["t 1", "t 2", "t 3"]);
    },
  );

  test("of idempotent messages that come at once, one is placed", async (engine) => {
    await engine.createTopic("t");
    const same = draft("1");
    const placed = await Promise.all(
      Array.from({ length: 10 }, () => place(engine, "t", same, { idempotent: true })),
    );
    assertEquals(placed.filter((position) => !position!.duplicate).length, 1);
    assertEquals(new Set(placed.map((position) => position!.offset)), new Set([1]));
  });

  test("a topic made again knows nothing of the ids of the one before", async (engine) => {
    await engine.createTopic("t");
    const same = draft("1");
    await place(engine, "t", same, { idempotent: true });
    await engine.deleteTopic("t");
    await engine.createTopic("t");
    assertEquals((await place(engine, "t", same, { idempotent: true }))?.duplicate, false);
  });

  test("a message carries its origin, in history too", async (engine) => {
    await engine.createTopic("t");
    await place(engine, "t", draft("1"), { origin: "somebody" });
    await place(engine, "t", draft("2"));
    const { messages } = (await engine.read("t", { last: 2 }))!;
    assertEquals(messages.map(({ origin }) => origin), ["somebody", undefined]);
  });

  test("a read from a position takes no more than its limit, oldest first", async (engine) => {
    await engine.createTopic("t");
    for (let n = 1; n <= 9; n++) await place(engine, "t", draft(String(n)));
    const { offset, messages } = (await engine.read("t", { after: 2, limit: 3 }))!;
    assertEquals([offset, ...messages.map((message) => message.offset)], [9, 3, 4, 5]);
  });
}
