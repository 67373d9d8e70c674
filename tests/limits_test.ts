/** What is answered beyond each limit, over real sockets, and what is counted. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseAddressRange } from "../src/address.ts";
import { defaultConfig, limitsOf } from "../src/config.ts";
import { handshake } from "./frames.ts";
import {
  Client,
  getJson,
  makeTopic,
  publish,
  Random,
  range,
  type Reachable,
  type Received,
  serve,
  subscribe,
  until,
} from "./harness.ts";
import { LateEngine } from "./late_engine.ts";
import { RawClient } from "./raw_client.ts";
import { ServerProcess } from "./server_process.ts";
import { TcpClient } from "./tcp_client.ts";

/** Posts a JSON body, and answers the status with what came back. */
async function post(server: Reachable, path: string, body: unknown): Promise<[number, Received]> {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return [response.status, await response.json()];
}

/** Asks for a WebSocket over plain HTTP, and answers what a refusal says; `undefined` when it was not refused. */
async function knock(port: number, headers: Record<string, string> = {}) {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(handshake("/ws", "", headers));
  let text = "";
  const buffer = new Uint8Array(4096);
  const isWhole = () => text.startsWith("HTTP/1.1 101") || text.endsWith("}");
  for (let count; !isWhole() && (count = await connection.read(buffer)) !== null;) {
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  if (text.startsWith("HTTP/1.1 101")) return undefined;
  const { error } = JSON.parse(text.slice(text.indexOf("\r\n\r\n")));
  const retryAfter = /retry-after: (\d+)/i.exec(text)?.[1];
  return { status: Number(text.slice(9, 12)), retryAfter, ...error };
}

async function refusedBy(server: Reachable): Promise<Record<string, number>> {
  const { refused } = await getJson(server, "/stats");
  return Object.fromEntries(Object.entries(refused).filter(([, count]) => count !== 0)) as Record<
    string,
    number
  >;
}

async function untilIdle(server: Reachable): Promise<void> {
  await until(async () => {
    const { connections, places, evicted, addresses } = await getJson(server, "/stats");
    return connections === 0 && places === 0 && evicted === 0 && addresses === 0;
  }, "no connection and no address is remembered");
}

Deno.test("all limits are told in one log line at start, and in /stats with what they refused", async () => {
  await using server = await ServerProcess.start({ maxTopics: 7, maxRequestsPerSecond: 5 });
  const expected = limitsOf(defaultConfig({ maxTopics: 7, maxRequestsPerSecond: 5 }));
  await until(() => server.logged.some(({ message }) => message === "limits"), "it is logged");
  const lines = server.logged.filter(({ message }) => message === "limits");
  assertEquals(lines.map(({ ts: _, level, message: __, ...values }) => ({ level, ...values })), [
    { level: "info", ...expected },
  ]);
  const { limits, refused } = await getJson(server, "/stats");
  assertEquals(limits, expected);
  assertEquals(new Set(Object.values(refused)), new Set([0]));
  assertEquals(Object.keys(refused).filter((limit) => !Object.hasOwn(limits, limit)), []);
});

Deno.test("the 10,001st topic is LIMIT_EXCEEDED, made by REST or on the way, until another is deleted", async () => {
  const topics = range(1, 9_999).map((n) => `t${n}`);
  await using server = await serve({ topics, autoCreateTopics: true });
  await using client = await Client.connect(server);
  await makeTopic(server, "last");
  const error = {
    code: "LIMIT_EXCEEDED",
    message: 'Cannot create topic "more": MAX_TOPICS (10000) is reached',
  };
  assertEquals(await post(server, "/topics", { name: "more" }), [429, { error }]);
  assertEquals((await post(server, "/topics", { name: "last" }))[0], 409, "it exists");
  assertEquals(await post(server, "/topics/more/messages", { payload: 1 }), [429, { error }]);
  const id = crypto.randomUUID();
  assertEquals(
    (await post(server, "/topics/more/messages", [{ payload: 1 }, { id, payload: 2 }]))[1],
    { topic: "more", results: [{ error }, { error }] },
  );
  for (const command of [publish("more", 1), subscribe("more")]) {
    const { type, topic, error: refusal } = await client.request(command);
    assertEquals([type, topic, refusal], ["error", "more", error]);
  }
  assertEquals((await getJson(server, "/stats")).total.topics, 10_000);
  assertEquals(await refusedBy(server), { MAX_TOPICS: 6 });

  const deleted = await fetch(`${server.url}/topics/last`, { method: "DELETE" });
  await deleted.body?.cancel();
  assertEquals((await client.request(subscribe("more"))).type, "ack");
});

Deno.test("MAX_TOPICS is exact when many are made at once by an engine that answers late", async () => {
  const random = new Random();
  const engine = new LateEngine(10, random, { maxTopics: 20 });
  await using server = await serve({ maxTopics: 20, autoCreateTopics: true }, { engine });
  const clients = await Promise.all(range(1, 5).map(() => Client.connect(server)));
  for (const n of range(1, 20)) {
    for (const [index, client] of clients.entries()) {
      client.send({ ...publish(`t${(n * 7 + index) % 40}`, n), request_id: `r${n}` });
    }
  }
  await Promise.all(clients.map((client) => client.find(({ request_id }) => request_id === "r20")));
  assertEquals(await engine.countTopics(), 20, `seed ${random.seed}`);
  const answers = clients.flatMap(({ received }) =>
    received.map(({ type, error }) => error?.code ?? type)
  );
  assertEquals(new Set(answers), new Set(["ack", "LIMIT_EXCEEDED"]), `seed ${random.seed}`);
  await Promise.all(clients.map((client) => client.close()));
});

Deno.test("the 129th subscription of a connection is LIMIT_EXCEEDED, one that replaces another is not counted twice", async () => {
  await using server = await serve({ topics: ["t", "u"] });
  await using client = await Client.connect(server);
  const nth = (n: number, topic = "t") => subscribe(topic, { client_id: `c${n}` });
  for (const n of range(1, 128)) assertEquals((await client.request(nth(n))).type, "ack");
  const refusal = await client.request(nth(129, "u"));
  assertEquals([refusal.type, refusal.topic, refusal.error], ["error", "u", {
    code: "LIMIT_EXCEEDED",
    message: 'Cannot subscribe to "u": MAX_SUBSCRIPTIONS_PER_CONNECTION (128) is reached',
  }]);
  assertEquals((await client.request(nth(128))).type, "ack", "it replaces itself");
  await using other = await Client.connect(server);
  assertEquals((await other.request(nth(129))).type, "ack", "each connection has its own");
  assertEquals((await getJson(server, "/health")).subscribers, 129);
  await client.request({ ...nth(1), type: "unsubscribe" });
  assertEquals((await client.request(nth(129))).type, "ack");
  assertEquals((await client.request(nth(130))).error.code, "LIMIT_EXCEEDED");
  assertEquals(await refusedBy(server), { MAX_SUBSCRIPTIONS_PER_CONNECTION: 2 });
  const events = client.find(({ type }) => type === "event");
  await other.request(publish("t", 1));
  await events;
  await client.fence();
  assertEquals(client.events.length, 128, "all that it has go on");
});

Deno.test("subscriptions that were asked for all at once of a late engine are counted, too", async () => {
  const random = new Random();
  const engine = new LateEngine(10, random);
  await using server = await serve({ topics: ["t"], maxSubscriptionsPerConnection: 3 }, { engine });
  await using client = await Client.connect(server);
  for (const n of range(1, 10)) {
    client.send({ ...subscribe("t", { client_id: `c${n % 5}` }), request_id: `r${n}` });
  }
  await client.find(({ request_id }) => request_id === "r10");
  const acked = client.received.filter(({ type }) => type === "ack").map(({ request_id }) =>
    request_id
  );
  assertEquals(acked, ["r1", "r2", "r3", "r6", "r7", "r8"], `seed ${random.seed}`);
});

Deno.test("one connection more than MAX_CONNECTIONS is refused before it is upgraded", async () => {
  await using server = await serve({ maxConnections: 3 });
  const clients = await Promise.all(range(1, 3).map(() => Client.connect(server)));
  assertEquals(await knock(server.port), {
    status: 503,
    retryAfter: "1",
    code: "LIMIT_EXCEEDED",
    message: "Cannot open WebSocket: MAX_CONNECTIONS (3) is reached",
    retry_after_ms: 1000,
  });
  assertEquals((await getJson(server, "/health")).status, "ok", "REST goes on");
  await clients[0]!.close();
  await until(async () => (await getJson(server, "/stats")).places === 2, "there is room");
  await using _ = await Client.connect(server);
  assertEquals(await refusedBy(server), { MAX_CONNECTIONS: 1 });
  for (const client of clients) await client.close();
});

Deno.test("connections that are told to close and stay are counted, and keep new ones out", async () => {
  await using server = await serve({ maxEvictedConnections: 2 });
  await using witness = await Client.connect(server);
  const stubborn = await Promise.all(range(1, 2).map(() => RawClient.connect(server.port)));
  for (const client of stubborn) await client.sendFrame(2, new Uint8Array([1]));
  await until(async () => (await getJson(server, "/stats")).evicted === 2, "both are evicted");
  const { connections, places } = await getJson(server, "/stats");
  assertEquals([connections, places], [1, 3]);
  assertEquals(await knock(server.port), {
    status: 503,
    retryAfter: "1",
    code: "LIMIT_EXCEEDED",
    message: "Cannot open WebSocket: MAX_EVICTED_CONNECTIONS (2) is reached",
    retry_after_ms: 1000,
  });
  await witness.fence();
  for (const client of stubborn) client[Symbol.dispose]();
  await until(async () => (await getJson(server, "/stats")).evicted === 0, "they are gone");
  await using _ = await Client.connect(server);
});

Deno.test("MAX_CONNECTIONS_PER_ADDRESS counts peers, and an untrusted peer's header changes nothing", async () => {
  await using server = await serve({ maxConnectionsPerAddress: 2 });
  const clients = await Promise.all(range(1, 2).map(() => Client.connect(server)));
  const refusal = {
    status: 429,
    retryAfter: "1",
    code: "LIMIT_EXCEEDED",
    message: "Cannot open WebSocket: MAX_CONNECTIONS_PER_ADDRESS (2) is reached",
    retry_after_ms: 1000,
  };
  assertEquals(await knock(server.port), refusal);
  assertEquals(await knock(server.port, { "X-Forwarded-For": "203.0.113.7" }), refusal);
  assertEquals((await getJson(server, "/stats")).addresses, 1);
  for (const client of clients) await client.close();
  await untilIdle(server);
  assertEquals(await refusedBy(server), { MAX_CONNECTIONS_PER_ADDRESS: 2 });
});

Deno.test("behind a trusted proxy the address is the right-most of the header that is no proxy", async () => {
  await using server = await serve({
    maxConnectionsPerAddress: 1,
    trustedProxies: ["127.0.0.0/8", "10.0.0.0/8"].map((range) => parseAddressRange(range)!),
  });
  const from = (chain: string) =>
    TcpClient.connect(server.port, "/ws", "", { "X-Forwarded-For": chain });
  const first = await from("203.0.113.7");
  const code = async (chain: string) =>
    (await knock(server.port, { "X-Forwarded-For": chain }))?.code;
  assertEquals(await code("203.0.113.7"), "LIMIT_EXCEEDED");
  assertEquals(await code("198.51.100.1, 203.0.113.7"), "LIMIT_EXCEEDED", "a spoof on the left");
  assertEquals(await code("198.51.100.1, 203.0.113.7, 10.1.2.3"), "LIMIT_EXCEEDED");
  assertEquals(await code("::ffff:203.0.113.7"), "LIMIT_EXCEEDED");
  const second = await from("203.0.113.7, 203.0.113.8");
  const proxy = await from("nonsense");
  assertEquals(await code("127.0.0.1"), "LIMIT_EXCEEDED", "the proxy itself");
  const customer = await from("2001:db8:0:7::1");
  assertEquals(await code("2001:db8:0:7:ffff::2"), "LIMIT_EXCEEDED", "the same 64 bits");
  const another = await from("2001:db8:0:8::1");
  for (const client of [first, second, proxy, customer, another]) await client.close();
  await untilIdle(server);
});

Deno.test("MAX_CONNECTS_PER_SECOND_PER_ADDRESS tells when to come again, and then lets in", async () => {
  let nowMs = 0;
  await using server = await serve({ maxConnectsPerSecondPerAddress: 4 }, { clock: () => nowMs });
  for (const _ of range(1, 4)) await (await Client.connect(server)).close();
  const refusal = await knock(server.port);
  assertEquals(refusal, {
    status: 429,
    retryAfter: "1",
    code: "RATE_LIMITED",
    message:
      "Cannot open WebSocket: MAX_CONNECTS_PER_SECOND_PER_ADDRESS (4) is reached; wait 250 ms",
    retry_after_ms: 250,
  });
  nowMs += refusal.retry_after_ms;
  await (await Client.connect(server)).close();
  assertEquals((await knock(server.port))?.code, "RATE_LIMITED");
  nowMs += 2_000;
  await untilIdle(server);
});

Deno.test("a request over MAX_REQUESTS_PER_SECOND is RATE_LIMITED and not done; after the pause it is", async () => {
  let nowMs = 0;
  const settings = { topics: ["t"], maxRequestsPerSecond: 5 };
  await using server = await serve(settings, { clock: () => nowMs });
  await using beside = await Client.connect(server);
  await beside.request(subscribe("t"));
  await using client = await Client.connect(server);
  const commands = [
    ...range(1, 4).map((n) => publish("t", n)),
    { type: "ping" },
    publish("t", "refused"),
    subscribe("t"),
    { ...subscribe("t"), type: "unsubscribe" },
    { type: "ping" },
    { type: "nonsense" },
  ];
  for (const [n, command] of commands.entries()) client.send({ ...command, request_id: `r${n}` });
  await client.find(({ request_id }) => request_id === "r9");
  assertEquals(
    client.received.map(({ request_id, type, error }) => `${request_id} ${error?.code ?? type}`),
    [
      ...range(0, 3).map((n) => `r${n} ack`),
      "r4 pong",
      ...range(5, 9).map((n) => `r${n} RATE_LIMITED`),
    ],
  );
  const [publishing, , , , unreadable] = client.received.slice(5);
  assertEquals([publishing.topic, publishing.error], ["t", {
    code: "RATE_LIMITED",
    message: "Cannot publish: MAX_REQUESTS_PER_SECOND (5) is reached; wait 1000 ms",
    retry_after_ms: 1000,
  }]);
  assertMatch(unreadable.error.message, /^Cannot read frame: MAX_REQUESTS_PER_SECOND/);
  nowMs += publishing.error.retry_after_ms;
  await client.request(publish("t", "later"));
  await beside.find(({ message }) => message?.payload === "later");
  assertEquals(beside.events.map(({ message }) => message.payload), [1, 2, 3, 4, "later"]);
  assertEquals(await refusedBy(server), { MAX_REQUESTS_PER_SECOND: 5 });
});

Deno.test("each element of an array counts", async () => {
  await using server = await serve({ maxRequestsPerSecond: 3 }, { clock: () => 0 });
  await using client = await Client.connect(server, ["tidings.batch.v1"]);
  client.send(range(1, 5).map((n) => ({ type: "ping", request_id: `r${n}` })));
  await client.find(({ request_id }) => request_id === "r5");
  const answers = client.received.map(({ type, error }) => error?.code ?? type);
  assertEquals(answers, ["pong", "pong", "pong", "RATE_LIMITED", "RATE_LIMITED"]);
});

Deno.test("a burst of 10,000 is answered in full; only who goes on after it was told is closed with 4029", async () => {
  let nowMs = 0;
  const settings = { topics: ["t"], maxRequestsPerSecond: 100 };
  await using server = await serve(settings, { clock: () => nowMs });
  await using beside = await Client.connect(server);
  await beside.request(subscribe("t"));
  await using client = await Client.connect(server);
  for (const n of range(1, 10_000)) client.send({ ...publish("t", n), request_id: `r${n}` });
  await client.find(({ request_id }) => request_id === "r10000");
  assertEquals(client.received.length, 10_000);
  assertEquals(client.received.filter(({ type }) => type === "ack").length, 100);
  nowMs += 1_000;
  for (const _ of range(1, 100)) assertEquals((await client.request(publish("t", 0))).type, "ack");

  await client.request(publish("t", "too much"));
  // One after the other: the close code of a connection on which more is under way is lost.
  for (let isOpen = true; isOpen;) {
    nowMs += 5;
    isOpen = await client.request(publish("t", 0)).then(() => true, () => false);
  }
  assertEquals(nowMs, 1_000 + 5 * (200 + 201), "a second to read in, and a second's worth refused");
  const { code, reason } = await client.closed;
  assertEquals([code, reason], [4029, "RATE_LIMITED"]);
  await beside.fence();
  const { connections, places, evicted } = await getJson(server, "/stats");
  assertEquals([connections, places, evicted], [1, 1, 0]);
  assertEquals((await beside.request(publish("t", "fine"))).type, "ack");
  await beside.fence();
  assertEquals(beside.events.at(-1).message.payload, "fine");
});

Deno.test("MAX_JSON_DEPTH and MAX_MESSAGE_BYTES are named and counted, over WebSocket and HTTP", async () => {
  const settings = { topics: ["t"], maxJsonDepth: 3, maxMessageBytes: 1024 };
  await using server = await serve(settings);
  await using client = await Client.connect(server);
  assertEquals((await client.request(publish("t", [[[]]]))).type, "ack");
  const { error } = await client.request(publish("t", [[[[]]]]));
  assertEquals(error, {
    code: "BAD_REQUEST",
    message:
      'Cannot publish: "message.payload" must not nest deeper than 3 levels (MAX_JSON_DEPTH)',
  });
  const [status, posted] = await post(server, "/topics/t/messages", { payload: [[[[]]]] });
  assertEquals(status, 400);
  assertStringIncludes(posted.error.message, "MAX_JSON_DEPTH");
  const [long, body] = await post(server, "/topics/t/messages", { payload: "x".repeat(1024) });
  assertEquals([long, body.error], [413, {
    code: "PAYLOAD_TOO_LARGE",
    message: "Cannot read body: it must be at most 1024 bytes (MAX_MESSAGE_BYTES)",
  }]);
  client.send(publish("t", "x".repeat(1024)));
  const frame = await client.find(({ type }) => type === "error");
  assertEquals(frame.error, {
    code: "PAYLOAD_TOO_LARGE",
    message: "Cannot read frame: it must be at most 1024 bytes (MAX_MESSAGE_BYTES)",
  });
  assertEquals((await client.closed).code, 1009);
  assertEquals(await refusedBy(server), { MAX_JSON_DEPTH: 2, MAX_MESSAGE_BYTES: 2 });
});
