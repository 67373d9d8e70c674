import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  Client,
  deleteTopic,
  getJson,
  makeTopic,
  publish,
  range,
  serve,
  subscribe,
  until,
} from "./harness.ts";

Deno.test("1,000 pipelined requests are all answered, in order, each with its own request_id", async () => {
  await using server = await serve({ topics: ["t"] });
  await using client = await Client.connect(server);
  const commands = [
    () => publish("t", "x"),
    () => ({ type: "ping" }),
    () => subscribe("t"),
    () => publish("none", "x"),
    () => ({ ...subscribe("t"), type: "unsubscribe" }),
    () => ({ type: "nonsense" }),
  ];
  const answers = ["ack", "pong", "ack", "error", "ack", "error"];
  for (let n = 0; n < 1000; n++) client.send({ ...commands[n % 6]!(), request_id: `r${n}` });
  await client.find(({ request_id }) => request_id === "r999");
  const answered = client.received.filter(({ request_id }) => request_id !== undefined);
  assertEquals(
    answered.map(({ type, request_id }) => `${type} ${request_id}`),
    Array.from({ length: 1000 }, (_, n) => `${answers[n % 6]} r${n}`),
  );
});

Deno.test("an ack tells the position, a subscribe ack also before the first message", async () => {
  await using server = await serve({ topics: ["t"] });
  await using client = await Client.connect(server);
  const opened = await client.request(subscribe("t"));
  assertEquals(opened.offset, 0);
  assertMatch(opened.epoch, /^[0-9a-f-]{36}$/);
  const placed = await client.request(publish("t", 1));
  assertEquals({ epoch: placed.epoch, offset: placed.offset }, { epoch: opened.epoch, offset: 1 });
});

Deno.test("subscribe() replays exactly the last min(n, held) messages, oldest first, after its ack", async () => {
  await using server = await serve({ topics: ["t"], maxHistory: 10 });
  await using client = await Client.connect(server);
  for (let n = 1; n <= 15; n++) client.send(publish("t", n));
  const cases: [number, number[]][] = [[0, []], [3, [13, 14, 15]], [99, range(6, 15)]];
  for (const [last_n, expected] of cases) {
    await using subscriber = await Client.connect(server);
    await subscriber.request(subscribe("t", { last_n }));
    await subscriber.fence();
    assertEquals(subscriber.received[0].type, "ack");
    assertEquals(subscriber.events.map(({ message }) => message.payload), expected);
  }
});

Deno.test("the same subscription again is acked, replaces the first and never doubles", async () => {
  await using server = await serve({ topics: ["t"] });
  await using client = await Client.connect(server);
  await client.request(subscribe("t"));
  await client.request(subscribe("t"));
  await client.request(publish("t", 1));
  await client.request(subscribe("t", { last_n: 1 }));
  await client.fence();
  assertEquals(client.events.map(({ offset }) => offset), [1, 1], "once live, once replayed");
  assertEquals((await getJson(server, "/health")).subscribers, 1);
});

Deno.test("the same client_id on two connections, and two on one, are subscriptions of their own", async () => {
  await using server = await serve({ topics: ["t"] });
  await using first = await Client.connect(server);
  await using second = await Client.connect(server);
  await first.request(subscribe("t"));
  await first.request(subscribe("t", { client_id: "another" }));
  await second.request(subscribe("t"));
  await second.request(publish("t", 1));
  await first.fence();
  assertEquals(first.events.length, 2);
  assertEquals(second.events.length, 1);
  assertEquals((await getJson(server, "/health")).subscribers, 3);
});

Deno.test("nothing of a topic comes after its unsubscribe ack; unsubscribing again is acked", async () => {
  await using server = await serve({ topics: ["t"] });
  await using client = await Client.connect(server);
  await client.request(subscribe("t"));
  await client.request(publish("t", 1));
  await client.request({ ...subscribe("t"), type: "unsubscribe" });
  await client.request(publish("t", 2));
  assertEquals((await client.request({ ...subscribe("t"), type: "unsubscribe" })).type, "ack");
  assertEquals(client.events.map(({ offset }) => offset), [1]);
});

Deno.test("a connection's end ends its subscriptions", async () => {
  await using server = await serve({ topics: ["t"] });
  const client = await Client.connect(server);
  await client.request(subscribe("t"));
  await client.close();
  await until(
    async () => (await getJson(server, "/health")).subscribers === 0,
    "it has unsubscribed",
  );
});

Deno.test("a deleted topic tells its subscribers once, and their other topics go on", async () => {
  await using server = await serve({ topics: ["a", "b"] });
  await using client = await Client.connect(server);
  const before = await client.request(subscribe("a"));
  await client.request(subscribe("b"));
  await client.request(publish("a", 1));
  await deleteTopic(server, "a");
  assertEquals((await client.request(publish("a", 2))).error.code, "TOPIC_NOT_FOUND");
  await makeTopic(server, "a");
  assertNotEquals((await client.request(publish("a", 3))).epoch, before.epoch);
  await client.request(publish("b", 1));
  await client.fence();
  const seen = client.received.filter(({ type }) => type === "event" || type === "info");
  assertEquals(
    seen.map(({ topic, msg, offset }) => [topic, msg ?? offset]),
    [["a", 1], ["a", "topic_deleted"], ["b", 1]],
  );
});

Deno.test("auto_create_topics makes a topic at the first publish or subscribe", async () => {
  await using server = await serve({ autoCreateTopics: true });
  await using client = await Client.connect(server);
  assertEquals((await client.request(subscribe("a"))).type, "ack");
  assertEquals((await client.request(publish("b", 1))).offset, 1);
  assertEquals((await getJson(server, "/health")).topics, 2);
});
