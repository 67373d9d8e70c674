/** Section 4 of the contract: recovery, receipts, overflow, idempotent publish, no echo, and messages over HTTP. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  Client,
  deleteTopic,
  flood,
  getJson,
  makeTopic,
  publish,
  range,
  type Received,
  serve,
  subscribe,
  type TestServer,
  until,
} from "./harness.ts";
import { RawClient } from "./raw_client.ts";

const payloads = (client: Client) => client.events.map(({ message }) => message.payload);

Deno.test("since: what was missed follows the ack, then live messages", async () => {
  await using server = await serve({ topics: ["t"] });
  await using publisher = await Client.connect(server);
  await using first = await Client.connect(server);
  const { epoch } = await first.request(subscribe("t"));
  for (let n = 1; n <= 5; n++) await publisher.request(publish("t", n));

  await using again = await Client.connect(server);
  const since = { epoch, offset: 2 };
  const ack = await again.request(subscribe("t", { since, last_n: 1 }));
  assertEquals([ack.recovered, ack.reason, ack.offset], [true, undefined, 5]);
  await publisher.request(publish("t", 6));
  await again.find(({ offset, type }) => type === "event" && offset === 6);
  assertEquals(payloads(again), [3, 4, 5, 6]);

  await using upToDate = await Client.connect(server);
  const nothing = await upToDate.request(subscribe("t", { since: { epoch, offset: 6 } }));
  await upToDate.fence();
  assertEquals([nothing.recovered, payloads(upToDate)], [true, []]);
  const nowhere = await upToDate.request(subscribe("none", { since: { epoch, offset: 6 } }));
  assertEquals(nowhere.error.code, "TOPIC_NOT_FOUND");
});

Deno.test("since: what cannot be recovered is said, and nothing or last_n is replayed", async () => {
  await using server = await serve({ topics: ["t"], maxHistory: 3 });
  await using publisher = await Client.connect(server);
  const { epoch } = await publisher.request(publish("t", 1));
  for (let n = 2; n <= 10; n++) await publisher.request(publish("t", n));
  const cases: [Record<string, unknown>, boolean, string | undefined, number[]][] = [
    [{ since: { epoch, offset: 6 } }, false, "evicted", []],
    [{ since: { epoch, offset: 0 }, last_n: 2 }, false, "evicted", [9, 10]],
    [{ since: { epoch, offset: 7 } }, true, undefined, [8, 9, 10]],
    [{ since: { epoch, offset: 11 } }, false, "ahead", []],
    [{ since: { epoch: "another", offset: 10 }, last_n: 1 }, false, "epoch_changed", [10]],
  ];
  for (const [options, recovered, reason, replayed] of cases) {
    await using client = await Client.connect(server);
    const ack = await client.request(subscribe("t", options));
    await client.fence();
    assertEquals([ack.recovered, ack.reason, payloads(client)], [recovered, reason, replayed]);
    assertEquals([ack.epoch, ack.offset], [epoch, 10]);
  }
});

Deno.test("since: a topic made again has another epoch", async () => {
  await using server = await serve({ topics: ["t"] });
  await using client = await Client.connect(server);
  const { epoch, offset } = await client.request(publish("t", 1));
  await deleteTopic(server, "t");
  await makeTopic(server, "t");
  const ack = await client.request(subscribe("t", { since: { epoch, offset } }));
  assertEquals([ack.recovered, ack.reason, ack.offset], [false, "epoch_changed", 0]);
});

Deno.test("a publish ack tells how many subscriptions the message was queued to", async () => {
  await using server = await serve({ topics: ["t"] });
  await using publisher = await Client.connect(server);
  assertEquals((await publisher.request(publish("t", 1))).subscribers, 0);
  await using subscriber = await Client.connect(server);
  await subscriber.request(subscribe("t"));
  await subscriber.request(subscribe("t", { client_id: "second" }));
  await publisher.request(subscribe("t"));
  assertEquals((await publisher.request(publish("t", 1))).subscribers, 3);
  await publisher.request(subscribe("t", { echo: false }));
  assertEquals((await publisher.request(publish("t", 1))).subscribers, 2, "not to itself");
});

Deno.test("echo: false keeps a connection's own messages from it, in replay too", async () => {
  await using server = await serve({ topics: ["t"] });
  await using client = await Client.connect(server);
  await using other = await Client.connect(server);
  await client.request(publish("t", "own, before"));
  await other.request(publish("t", "other, before"));
  await client.request(subscribe("t", { echo: false, last_n: 10 }));
  await client.request(publish("t", "own"));
  await other.request(publish("t", "other"));
  await client.fence();
  assertEquals(payloads(client), ["other, before", "other"]);
  await client.request(subscribe("t", { last_n: 10 }));
  await client.fence();
  assertEquals(client.events.length, 2 + 4, "without it, its own come back");
});

Deno.test("an idempotent publish is placed once; its id is not for another payload", async () => {
  await using server = await serve({ topics: ["t", "u"], maxIdempotencyIds: 2 });
  await using client = await Client.connect(server);
  await client.request(subscribe("t"));
  const command: Received = { ...publish("t", { n: 1 }), idempotent: true };
  const first = await client.request(command);
  const second = await client.request(command);
  assertEquals([first.offset, first.duplicate], [1, undefined]);
  assertEquals([second.offset, second.duplicate, second.epoch], [1, true, first.epoch]);
  const { id } = command.message;
  const other = await client.request({ ...command, message: { id, payload: { n: 2 } } });
  assertEquals([other.type, other.error.code], ["error", "BAD_REQUEST"]);
  assertEquals((await client.request({ ...command, topic: "u" })).duplicate, undefined);
  assertEquals((await client.request({ ...command, idempotent: false })).offset, 2);
  for (let n = 0; n < 2; n++) await client.request({ ...publish("t", n), idempotent: true });
  assertEquals((await client.request(command)).offset, 5, "older ones are forgotten");
  await client.fence();
  assertEquals(client.events.length, 5);
});

Deno.test("catch_up: a stall shorter than the ring misses nothing and sees no error", async () => {
  const { stream, published } = await stall({
    overflow: "catch_up",
    maxHistory: 10_000,
    messages: 4_000,
  });
  assertEquals(stream.map(({ offset }) => offset), range(1, published));
});

Deno.test("catch_up: a stall longer than the ring is told one exact range", async () => {
  const { stream, published } = await stall({
    overflow: "catch_up",
    maxHistory: 100,
    messages: 4_000,
  });
  const losses = stream.filter(({ type }) => type === "error");
  assertEquals(losses.length, 1);
  const { from_offset, to_offset, dropped } = losses[0].error;
  assertEquals(to_offset, published - 100);
  assertEquals(dropped, to_offset - from_offset + 1);
  assertEquals(offsetsOf(stream), [
    ...range(1, from_offset - 1),
    ...range(to_offset + 1, published),
  ]);
});

Deno.test("latest: of what waits only the newest is delivered, without an error", async () => {
  const { stream, published } = await stall({ overflow: "latest", messages: 4_000 });
  assertEquals(stream.filter(({ type }) => type === "error"), []);
  const offsets = offsetsOf(stream);
  const inFlight = offsets.length - 1;
  assertEquals(offsets, [...range(1, inFlight), published]);
  assert(inFlight < published - 1, "the stall was too short for a loss");
});

Deno.test("disconnect: a full queue closes the connection with 4008", async () => {
  await using server = await serve({ topics: ["t"], maxBufferedBytes: 16_384 });
  using stalled = await RawClient.connect(server.port);
  await stalled.sendJson(subscribe("t", { overflow: "disconnect" }));
  await stalled.readJson();
  await using publisher = await Client.connect(server);
  await until(async () => {
    await flood(publisher, 100);
    return (await getJson(server, "/health")).subscribers === 0;
  }, "it is cut off");
  const { messages, code, reason } = await stalled.readToEnd();
  assertEquals([code, reason], [4008, "SLOW_CONSUMER"]);
  assertEquals(offsetsOf(messages), range(1, messages.length), "what came came in order");
});

Deno.test("echo: false does not count a stalled subscriber's own messages as lost", async () => {
  await using server = await serve({ topics: ["t"], maxBufferedBytes: 16_384 });
  using stalled = await RawClient.connect(server.port);
  await stalled.sendJson(subscribe("t", { echo: false }));
  await stalled.readJson();
  await using other = await Client.connect(server);
  let published = 0;
  const isBehind = async () => (await getJson(server, "/stats")).topics.t.lagging === 1;
  await until(async () => {
    published = (await flood(other, 100)).offset;
    return await isBehind();
  }, "it is behind");
  // Own and others' messages, one by one: half of what the window loses are its own.
  for (let n = 0; n < 100; n++) {
    const own = publish("t", "own");
    await stalled.sendJson(own);
    await until(
      async () => (await getJson(server, "/stats")).topics.t.messages === published + 1,
      "placed",
    );
    published = (await other.request(publish("t", "other"))).offset;
  }
  const stream: Received[] = [];
  while (stream.at(-1)?.offset !== published) {
    const message = await stalled.readJson();
    if (message.type !== "ack") stream.push(message);
  }
  const received = stream.filter(({ type }) => type === "event");
  const lost = stream.reduce((sum, { error }) => sum + (error?.dropped ?? 0), 0);
  assertEquals(received.filter(({ message }) => message.payload === "own"), []);
  assertEquals(received.length + lost, published - 100, "received + lost = what others published");
});

Deno.test("POST messages: one is answered like a publish ack, an array per item", async () => {
  await using server = await serve({ topics: ["t"] });
  await using client = await Client.connect(server);
  await client.request(subscribe("t"));
  const one = await post(server, "t", '{"payload": {"n": 12345678901234567890}}');
  assertEquals(one.status, 200);
  assertMatch(one.body.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assertEquals([one.body.offset, one.body.subscribers, one.body.topic], [1, 1, "t"]);

  const id = crypto.randomUUID();
  const many = await post(
    server,
    "t",
    JSON.stringify([
      { id, payload: 1, idempotent: true },
      { id: "no uuid", payload: 2 },
      { id, payload: 1, idempotent: true },
      { id, payload: 3, idempotent: true },
      {},
      { payload: null },
    ]),
  );
  assertEquals(many.status, 200);
  assertEquals(
    many.body.results.map((result: Received) =>
      result.error?.code ?? [result.offset, result.duplicate]
    ),
    [[2, undefined], "BAD_REQUEST", [2, true], "BAD_REQUEST", "BAD_REQUEST", [3, undefined]],
  );
  await client.fence();
  assertEquals(client.events.map(({ offset }) => offset), [1, 2, 3]);
});

Deno.test("POST messages: what is wrong is said as everywhere", async () => {
  await using server = await serve({ topics: ["t"] });
  for (
    const [topic, body, status, code] of [
      ["none", '{"payload":1}', 404, "TOPIC_NOT_FOUND"],
      ["t", "{", 400, "BAD_REQUEST"],
      ["t", "1", 400, "BAD_REQUEST"],
      ["t", "{}", 400, "BAD_REQUEST"],
      ["t", `{"payload":${"[".repeat(200)}${"]".repeat(200)}}`, 400, "BAD_REQUEST"],
      ["t", JSON.stringify({ payload: "x".repeat(70_000) }), 413, "PAYLOAD_TOO_LARGE"],
    ] as const
  ) {
    const answer = await post(server, topic, body);
    assertEquals([answer.status, answer.body.error.code], [status, code], body.slice(0, 50));
  }
});

Deno.test("GET messages: pages from a position, or says why it cannot", async () => {
  await using server = await serve({ topics: ["t"], maxHistory: 10 });
  await using client = await Client.connect(server);
  for (let n = 1; n <= 15; n++) await client.request(publish("t", n));
  const page = async (query: string) => {
    const { messages, recovered, reason, offset } = await getJson(
      server,
      `/topics/t/messages${query}`,
    );
    assertEquals(offset, 15);
    return [messages.map((kept: Received) => kept.message.payload), recovered, reason];
  };
  assertEquals(await page(""), [range(6, 15), undefined, undefined]);
  assertEquals(await page("?limit=2"), [[6, 7], undefined, undefined]);
  assertEquals(await page("?after=7&limit=3"), [[8, 9, 10], true, undefined]);
  assertEquals(await page("?after=15"), [[], true, undefined]);
  assertEquals(await page("?after=4"), [[], false, "evicted"]);
  assertEquals(await page("?after=16"), [[], false, "ahead"]);
  assertEquals(await page("?after=15&epoch=x"), [[], false, "epoch_changed"]);
  for (const query of ["after=-1", "after=x", "limit=0", "limit=1001", "limit="]) {
    const response = await fetch(`${server.url}/topics/t/messages?${query}`);
    assertEquals(
      [response.status, (await response.json()).error.code],
      [400, "BAD_REQUEST"],
      query,
    );
  }
  assertEquals((await getJson(server, "/topics/none/messages")).error.code, "TOPIC_NOT_FOUND");
});

Deno.test("history gives up the oldest of the largest topics at its budget, and recovery says so", async () => {
  await using server = await serve({ topics: ["small", "large"], maxHistoryBytes: 50_000 });
  await using client = await Client.connect(server);
  const small = await client.request(publish("small", "x"));
  let large = small;
  for (let n = 0; n < 60; n++) large = await client.request(publish("large", "x".repeat(1000)));
  const { topics, total } = await getJson(server, "/stats");
  assertEquals([topics.small.history.messages, topics.small.evicted], [1, 0]);
  assert(topics.large.evicted > 0);
  assertEquals(topics.large.history.messages + topics.large.evicted, 60);
  assert(total.history.bytes <= 50_000);
  assertEquals(total.history.bytes, topics.small.history.bytes + topics.large.history.bytes);
  const { epoch } = large;
  const ack = await client.request(subscribe("large", { since: { epoch, offset: 0 } }));
  assertEquals([ack.recovered, ack.reason], [false, "evicted"]);
  await client.request(publish("large", "live goes on"));
  await client.fence();
  assertEquals(payloads(client), ["live goes on"]);
});

/** Lets a subscriber stall while so many messages of 1 KB are published, and answers all that it then reads. */
async function stall(
  { overflow, maxHistory = 100, messages }: {
    overflow: string;
    maxHistory?: number;
    messages: number;
  },
): Promise<{ stream: Received[]; published: number }> {
  await using server = await serve({ topics: ["t"], maxBufferedBytes: 65_536, maxHistory });
  using stalled = await RawClient.connect(server.port);
  await stalled.sendJson(subscribe("t", { overflow }));
  await stalled.readJson();
  await using publisher = await Client.connect(server);
  const { offset: published } = await flood(publisher, messages);
  const stream: Received[] = [];
  while (stream.at(-1)?.offset !== published) stream.push(await stalled.readJson());
  return { stream, published };
}

async function post(server: TestServer, topic: string, body: string) {
  const response = await fetch(`${server.url}/topics/${topic}/messages`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  return { status: response.status, body: await response.json() };
}

function offsetsOf(stream: Received[]): number[] {
  return stream.filter(({ type }) => type === "event").map(({ offset }) => offset);
}
