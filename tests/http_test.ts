import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  Client,
  deleteTopic,
  getJson,
  makeTopic,
  publish,
  type Received,
  serve,
  subscribe,
  type TestServer,
} from "./harness.ts";

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Received;
}

/** One call, answered in JSON. */
async function call(server: TestServer, call: string, body?: unknown): Promise<Answer> {
  const [method, path] = call.split(" ") as [string, string];
  const init = body === undefined
    ? { method }
    : { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(server.url + path, init);
  const { status, headers } = response;
  assertEquals(headers.get("content-type"), "application/json");
  return { status, headers, body: await response.json() };
}

async function names(server: TestServer): Promise<string[]> {
  const { topics } = await getJson(server, "/topics");
  return topics.map(({ name }: Received) => name).sort();
}

Deno.test("POST /topics makes a topic once", async () => {
  await using server = await serve();
  const made = await call(server, "POST /topics", { name: "orders" });
  assertEquals([made.status, made.body], [201, { status: "created", topic: "orders" }]);

  const again = await call(server, "POST /topics", { name: "orders" });
  assertEquals([again.status, again.body.error.code], [409, "TOPIC_EXISTS"]);
  assertStringIncludes(again.body.error.message, '"orders"');
  assertEquals(await names(server), ["orders"]);
});

Deno.test("DELETE /topics/{name} deletes a topic once, and it can be made again", async () => {
  await using server = await serve({ topics: ["orders"] });
  const gone = await call(server, "DELETE /topics/orders");
  assertEquals([gone.status, gone.body], [200, { status: "deleted", topic: "orders" }]);

  const again = await call(server, "DELETE /topics/orders");
  assertEquals([again.status, again.body.error.code], [404, "TOPIC_NOT_FOUND"]);
  assertEquals(Object.keys(again.body), ["error"]);
  assertEquals(await names(server), []);
  await makeTopic(server, "orders");
  assertEquals(await names(server), ["orders"]);
});

Deno.test("a topic that is made again counts from the start", async () => {
  await using server = await serve({ topics: ["orders"] });
  await using client = await Client.connect(server);
  const before = await client.request(publish("orders", 1));
  await deleteTopic(server, "orders");
  await makeTopic(server, "orders");
  assertEquals((await getJson(server, "/stats")).topics.orders.messages, 0);
  const after = await client.request(publish("orders", 1));
  assertEquals([before.offset, after.offset], [1, 1]);
  assert(before.epoch !== after.epoch);
});

Deno.test("a slash in a topic's name is %2F in the path", async () => {
  await using server = await serve({ topics: ["a/b", "a"] });
  const gone = await call(server, "DELETE /topics/a%2Fb");
  assertEquals([gone.status, gone.body], [200, { status: "deleted", topic: "a/b" }]);
  assertEquals(await names(server), ["a"]);
});

Deno.test("GET /topics lists names and subscribers, and nothing else", async () => {
  await using server = await serve({ topics: ["orders", "empty", "__proto__"] });
  await using first = await Client.connect(server);
  await using second = await Client.connect(server);
  await first.request(subscribe("orders", { client_id: "a" }));
  await first.request(subscribe("orders", { client_id: "b" }));
  await first.request(subscribe("orders", { client_id: "b" }));
  await second.request(subscribe("orders", { client_id: "a" }));
  const listed = await call(server, "GET /topics");
  assertEquals(listed.status, 200);
  assertEquals(Object.keys(listed.body), ["topics"]);
  const topics = listed.body.topics as { name: string; subscribers: number }[];
  assertEquals(topics.toSorted((one, other) => one.name < other.name ? -1 : 1), [
    { name: "__proto__", subscribers: 0 },
    { name: "empty", subscribers: 0 },
    { name: "orders", subscribers: 3 },
  ]);
});

Deno.test("GET /health counts topics and subscribers, up and down", async () => {
  await using server = await serve({ topics: ["a", "b"] });
  const counts = async () => {
    const { status, body } = await call(server, "GET /health");
    assertEquals([status, body.status], [200, "ok"]);
    assertEquals(Object.keys(body), ["status", "uptime_sec", "topics", "subscribers"]);
    assert(Number.isInteger(body.uptime_sec) && body.uptime_sec >= 0);
    return [body.topics, body.subscribers];
  };
  assertEquals(await counts(), [2, 0]);
  await makeTopic(server, "c");
  await using client = await Client.connect(server);
  for (const topic of ["a", "b", "c"]) await client.request(subscribe(topic));
  assertEquals(await counts(), [3, 3]);
  await client.request({ type: "unsubscribe", topic: "a", client_id: "tester" });
  assertEquals(await counts(), [3, 2]);
  await deleteTopic(server, "b");
  assertEquals(await counts(), [2, 1]);
});

Deno.test("GET /stats counts what was ever published, beyond what history holds", async () => {
  await using server = await serve({ topics: ["busy", "quiet"], maxHistory: 2 });
  await using client = await Client.connect(server);
  await client.request(subscribe("busy"));
  for (let sent = 0; sent < 5; sent++) await client.request(publish("busy", sent));
  const { status, body } = await call(server, "GET /stats");
  assertEquals(status, 200);
  assertEquals(Object.keys(body.topics).sort(), ["busy", "quiet"]);
  assertEquals([body.topics.busy.messages, body.topics.busy.subscribers], [5, 1]);
  assertEquals([body.topics.quiet.messages, body.topics.quiet.subscribers], [0, 0]);
});

Deno.test("GET /stats holds topics named like the inside of an object", async () => {
  const odd = ["__proto__", "constructor", "hasOwnProperty", "toString"];
  await using server = await serve({ topics: odd });
  await using client = await Client.connect(server);
  for (const topic of odd) await client.request(publish(topic, 1));
  const text = await (await fetch(`${server.url}/stats`)).text();
  const { topics } = JSON.parse(text);
  assertEquals(Object.keys(topics).sort(), odd);
  for (const topic of odd) {
    assertEquals(Object.getOwnPropertyDescriptor(topics, topic)!.value.messages, 1, text);
  }
});

Deno.test("GET / tells a human what this is, with commands for this very address", async () => {
  await using server = await serve();
  const response = await fetch(server.url);
  const text = await response.text();
  assertEquals(response.status, 200);
  assertMatch(response.headers.get("content-type")!, /^text\/plain/);
  assertStringIncludes(text, "tidings");
  for (const path of ["/topics", "/health", "/stats"]) {
    assertStringIncludes(text, `http://127.0.0.1:${server.port}${path}`);
  }
  assertStringIncludes(text, `ws://127.0.0.1:${server.port}/ws`);
});

Deno.test("the commands that GET / shows for a WebSocket are answered with an ack", async () => {
  await using server = await serve({ topics: ["orders"] });
  const text = await (await fetch(server.url)).text();
  await using client = await Client.connect(server);
  const commands = text.match(/^ *\{"type".*\}$/gm)!.map((line) => JSON.parse(line));
  assertEquals(commands.map(({ type }) => type), ["subscribe", "publish"]);
  for (const command of commands) assertEquals((await client.request(command)).type, "ack");
});

Deno.test("HEAD answers as GET does, without a body", async () => {
  await using server = await serve();
  for (const path of ["/", "/topics", "/health", "/stats"]) {
    const get = await fetch(server.url + path);
    const length = (await get.arrayBuffer()).byteLength;
    const head = await fetch(server.url + path, { method: "HEAD" });
    assertEquals(head.status, get.status);
    assertEquals(head.headers.get("content-type"), get.headers.get("content-type"));
    assertEquals(await head.text(), "");
    assert(length > 0);
  }
});

Deno.test("many calls on one connection and at once are each answered", async () => {
  await using server = await serve();
  const made = await Promise.all(
    Array.from({ length: 50 }, (_, index) => call(server, "POST /topics", { name: `t${index}` })),
  );
  assertEquals(new Set(made.map(({ body }) => body.topic)).size, 50);
  const racing = await Promise.all(
    Array.from({ length: 20 }, () => call(server, "POST /topics", { name: "same" })),
  );
  assertEquals(racing.filter(({ status }) => status === 201).length, 1, "one of them makes it");
  assertEquals(racing.filter(({ status }) => status === 409).length, 19);
  assertEquals((await getJson(server, "/health")).topics, 51);
});
