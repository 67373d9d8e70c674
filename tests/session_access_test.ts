/** Access over real sockets, from the first `auth` to the token's end. Time is moved by hand. */

import { assert, assertEquals } from "@std/assert";
import { Clock } from "./clock.ts";
import {
  Client,
  publish,
  range,
  type Received,
  serve,
  subscribe as subscribeAs,
  type TestServer,
  until,
} from "./harness.ts";
import { type Claims, claimsOf, secret, sign } from "./issuer.ts";
import { TcpClient } from "./tcp_client.ts";
import { Valves } from "./valve.ts";
import { VerifyGate } from "./verify_gate.ts";

const settings = { jwtSecret: secret, topics: ["orders.eu", "orders.us", "news"] };

/** A token of alice that ends in so many seconds. */
function token(seconds: number, changes: Claims = {}): string {
  return sign(claimsOf({ exp: Math.floor(Date.now() / 1000) + seconds, ...changes }));
}

const admin = () => token(3600, { sub: "root", admin: true });

function carried(jwt: string, protocol = "tidings.v1"): string[] {
  return [protocol, `tidings.token.${jwt}`];
}

function subscribe(topic: string, client_id = "alice") {
  return subscribeAs(topic, { client_id });
}

/** What a client received, in short. */
function summary(received: readonly Received[]): string[] {
  return received.map(({ type, msg, topic, reason, offset, error }) => {
    const what = msg ?? error?.code ?? (type === "event" ? offset : undefined);
    return [type, what, topic, reason].filter((word) => word !== undefined).join(" ");
  });
}

async function asAdmin(server: TestServer, method: string, path: string, body?: unknown) {
  const response = await fetch(server.url + path, {
    method,
    headers: { authorization: `Bearer ${admin()}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  await response.body?.cancel();
  assert(response.ok, `${method} ${path}: ${response.status}`);
}

Deno.test("until the first auth every command is UNAUTHORIZED, and from then on its token counts", async () => {
  await using server = await serve(settings);
  await using client = await Client.connect(server);

  for (const command of [publish("orders.eu", 1), subscribe("orders.eu"), { type: "ping" }]) {
    const { error } = await client.request(command);
    const message = `Cannot ${command.type} before "auth": a token is needed`;
    assertEquals(error, { code: "UNAUTHORIZED", message });
  }
  const unsubscribe = { ...subscribe("orders.eu"), type: "unsubscribe" };
  assertEquals((await client.request(unsubscribe)).error.code, "UNAUTHORIZED");
  assertEquals((await client.request({ type: "auth" })).error.code, "BAD_REQUEST");

  const claims = claimsOf();
  const { ts: _, ...ack } = await client.request({ type: "auth", token: sign(claims) });
  assertEquals(ack, {
    type: "ack",
    request_id: "request-6",
    status: "ok",
    sub: "alice",
    expires_at: new Date((claims.exp as number) * 1000).toISOString(),
  });
  assertEquals((await client.request(subscribe("orders.eu"))).type, "ack");
  assertEquals((await client.request(publish("orders.eu", 1))).subscribers, 1);
});

Deno.test("commands behind auth in the same breath are done as its token allows", async () => {
  await using server = await serve(settings);
  await using client = await Client.connect(server, ["tidings.batch.v1"]);

  client.send([{ type: "auth", token: token(600) }, subscribe("orders.eu"), publish("news", 1)]);
  await client.fence();

  assertEquals(summary(client.received.slice(0, 3)), [
    "ack",
    "ack orders.eu",
    "error FORBIDDEN news",
  ]);
});

Deno.test("a client that sends no token within 10 seconds is closed with 4501", async () => {
  using clock = new Clock();
  await using server = await serve(settings);
  const client = await Client.connect(server);
  await client.request({ type: "ping" });

  clock.advance(9_900);
  await client.request({ type: "ping" });
  clock.advance(200);

  assertEquals(await client.closed, { code: 4501, reason: "UNAUTHORIZED" });
  assertEquals(client.received.at(-1).error, {
    code: "UNAUTHORIZED",
    message: "Cannot keep connection: no valid token came within 10 seconds",
  });
  assertEquals(clock.delays, []);
});

Deno.test("a first token that is not valid closes with 4501, and what was sent behind it is not done", async () => {
  await using server = await serve(settings);
  const client = await Client.connect(server);
  client.send({ type: "auth", token: token(-1), request_id: "auth" });
  client.send({ type: "auth", token: token(600), request_id: "again" });

  assertEquals((await client.closed).code, 4501);
  assertEquals(summary(client.received), ["error UNAUTHORIZED"]);
});

Deno.test("a token's end is announced 30 seconds before, ends each subscription, and closes with 4010", async () => {
  using clock = new Clock();
  await using server = await serve(settings);
  await using publisher = await Client.connect(server, carried(token(3600)));
  const client = await Client.connect(server, carried(token(600)));
  for (const topic of ["orders.eu", "orders.us"]) await client.request(subscribe(topic));
  await client.request(subscribe("orders.eu", "alice/2"));

  clock.advance(560_000);
  await client.fence();
  assertEquals(summary(client.received).filter((line) => line.startsWith("info")), []);
  clock.advance(10_000);
  const warning = await client.find(({ msg }) => msg === "token_expiring");
  assert(Math.abs(Date.parse(warning.expires_at) - Date.now() - 30_000) < 2_000);

  await publisher.request(publish("orders.eu", 1));
  clock.advance(30_000);
  // The server has nobody to send these to.
  assertEquals((await publisher.request(publish("orders.eu", 2))).subscribers, 0);
  assertEquals(await client.closed, { code: 4010, reason: "UNAUTHORIZED" });
  const since = client.received.indexOf(warning);
  assertEquals(summary(client.received.slice(since)), [
    "info token_expiring",
    "event 1 orders.eu",
    "event 1 orders.eu",
    "info unsubscribed orders.eu token_expired",
    "info unsubscribed orders.us token_expired",
    "info unsubscribed orders.eu token_expired",
  ]);
  assertEquals(
    client.received.slice(-3).map(({ client_id }) => client_id),
    ["alice", "alice", "alice/2"],
  );
});

Deno.test("at its token's end a slow client still gets all that was queued, then 4010 and nothing after", async () => {
  using clock = new Clock();
  using valves = new Valves();
  await using server = await serve(settings);
  await using publisher = await Client.connect(server, carried(token(3600)));
  const path = "/ws?valve=slow";
  const client = await TcpClient.connect(server.port, path, carried(token(600)).join(", "));
  client.send(subscribe("orders.eu"));
  await client.fence();
  valves.close("slow");
  for (const n of range(1, 20)) await publisher.request(publish("orders.eu", n));

  clock.advance(600_000);
  // What comes now is neither done nor answered.
  client.send(publish("orders.us", "late"));
  for (const n of range(21, 25)) await publisher.request(publish("orders.eu", n));
  assert(!valves.isEnding("slow"), "it waits for what is queued");
  valves.open("slow");

  assertEquals(await client.closed, 4010);
  assertEquals(
    summary(client.received.slice(2)),
    [
      ...range(1, 20).map((n) => `event ${n} orders.eu`),
      "info token_expiring",
      "info unsubscribed orders.eu token_expired",
    ],
  );
  assertEquals((await publisher.request(publish("orders.us", 1))).offset, 1);
  await valves.ended("slow");
});

Deno.test("a token that is renewed in time keeps its subscriptions without a gap", async () => {
  using clock = new Clock();
  await using server = await serve(settings);
  await using publisher = await Client.connect(server, carried(token(7200)));
  await using client = await Client.connect(server, carried(token(600)));
  await client.request(subscribe("orders.eu"));

  for (const n of range(1, 5)) {
    clock.advance(575_000);
    await client.find(({ msg }) => msg === "token_expiring");
    await publisher.request(publish("orders.eu", n));
    assertEquals((await client.request({ type: "auth", token: token(626) })).status, "ok");
    // The end of the token before comes and goes.
    clock.advance(26_000);
    await publisher.request(publish("orders.eu", n));
  }
  await client.fence();

  assertEquals(client.events.map(({ offset }) => offset), range(1, 10));
  const told = summary(client.received).filter((line) => line.startsWith("info"));
  assertEquals(told, Array(5).fill("info token_expiring"));
});

Deno.test("a renewal with fewer grants ends exactly what it no longer allows", async () => {
  await using server = await serve(settings);
  await using publisher = await Client.connect(server, carried(token(600)));
  const jwt = token(600, { topics: [{ match: "**", allow: ["subscribe", "publish"] }] });
  await using client = await Client.connect(server, carried(jwt));
  for (const topic of ["orders.eu", "news", "orders.us"]) await client.request(subscribe(topic));

  const topics = [
    { match: "orders.eu", allow: ["subscribe"] },
    { match: "orders.us", allow: ["publish"] },
  ];
  const ack = await client.request({ type: "auth", token: token(600, { topics }) });
  await client.fence();
  const since = client.received.indexOf(ack);
  assertEquals(summary(client.received.slice(since)), [
    "ack",
    "info unsubscribed news not_granted",
    "info unsubscribed orders.us not_granted",
    "pong",
  ]);

  assertEquals((await publisher.request(publish("orders.eu", 1))).subscribers, 1);
  assertEquals((await publisher.request(publish("orders.us", 1))).subscribers, 0);
  for (const [topic, type] of [["orders.eu", "error"], ["news", "error"], ["orders.us", "ack"]]) {
    const answer = await client.request(publish(topic!, 1));
    assertEquals([topic, answer.type, answer.error?.code], [
      topic,
      type,
      type === "error" ? "FORBIDDEN" : undefined,
    ]);
  }
  assertEquals((await client.request(subscribe("news"))).error.code, "FORBIDDEN");
});

Deno.test("a renewal by another sub is FORBIDDEN, by a bad token UNAUTHORIZED, and who it was stays", async () => {
  using clock = new Clock();
  await using server = await serve(settings);
  const client = await Client.connect(server, carried(token(600)));
  await client.request(subscribe("orders.eu"));

  const refusals = {
    FORBIDDEN: token(6000, { sub: "bob", topics: [{ match: "news", allow: ["publish"] }] }),
    UNAUTHORIZED: `${token(6000)}AAAA`,
  };
  for (const [code, jwt] of Object.entries(refusals)) {
    assertEquals((await client.request({ type: "auth", token: jwt })).error.code, code);
    assertEquals((await client.request(publish("news", 1))).error.code, "FORBIDDEN");
    assertEquals((await client.request(publish("orders.eu", 1))).subscribers, 1);
    assertEquals((await client.request(subscribe("orders.us", "bob"))).error.code, "FORBIDDEN");
  }
  clock.advance(600_000);
  assertEquals((await client.closed).code, 4010, "nor did they change when it ends");
});

Deno.test("a renewal may also bring the end nearer", async () => {
  using clock = new Clock();
  await using server = await serve(settings);
  const client = await Client.connect(server, carried(token(6000)));
  await client.request({ type: "auth", token: token(50) });
  assertEquals(clock.delays.length, 1, "the timer of the token before is gone");
  clock.advance(20_000);
  await client.find(({ msg }) => msg === "token_expiring");
  clock.advance(30_000);
  assertEquals((await client.closed).code, 4010);
});

Deno.test("an auth that came in time is waited for, and a renewal that is verified too late is not", async () => {
  using clock = new Clock();
  await using server = await serve(settings);
  const late = await Client.connect(server, carried(token(600)));
  const first = await Client.connect(server);
  await first.request({ type: "ping" });
  await late.fence();

  using gate = new VerifyGate();
  first.send({ type: "auth", token: token(6000), request_id: "auth" });
  late.send({ type: "auth", token: token(6000), request_id: "auth" });
  await until(() => gate.begun === 2, "both are being verified");
  clock.advance(600_000);
  assertEquals((await late.closed).code, 4010);
  gate.open();

  assertEquals((await first.find(({ request_id }) => request_id === "auth")).type, "ack");
  assertEquals(summary(late.received.slice(1)), ["info token_expiring"]);
  await first.close();
  await until(() => gate.ended === 2 && clock.delays.length === 0, "nothing is left");
});

Deno.test("a token may last for years, and no timer is set for longer than the runtime can wait", async () => {
  using clock = new Clock();
  await using server = await serve(settings);
  const day = 86_400;
  const client = await Client.connect(server, carried(token(40 * day)));
  await client.request(subscribe("orders.eu"));
  assertEquals(clock.delays.length, 1);

  clock.advance(39 * day * 1000);
  assertEquals(clock.delays.filter((delayMs) => delayMs >= 2 ** 31), []);
  assertEquals((await client.request(publish("orders.eu", 1))).subscribers, 1);
  clock.advance(day * 1000);
  assertEquals((await client.closed).code, 4010);
});

Deno.test("no timer outlives its connection", async () => {
  using clock = new Clock();
  await using server = await serve(settings);
  const clients = [
    await Client.connect(server),
    await Client.connect(server, carried(token(600))),
    await Client.connect(server, carried(token(20))),
  ];
  await clients[2]!.find(({ msg }) => msg === "token_expiring");
  await until(() => clock.delays.length === 3, "each has one");
  for (const client of clients) await client.close();
  await until(() => clock.delays.length === 0, "none is left");
});

Deno.test("a topic that is deleted and made again has the grants that it had", async () => {
  await using server = await serve(settings);
  await using client = await Client.connect(server, carried(token(600)));
  await client.request(subscribe("orders.eu"));

  const check = async (allowed: string, whenAllowed: string | undefined) => {
    for (const command of [publish(allowed, 1), subscribe(allowed)]) {
      assertEquals((await client.request(command)).error?.code, whenAllowed);
    }
    for (const command of [publish("news", 1), subscribe("news")]) {
      assertEquals((await client.request(command)).error?.code, "FORBIDDEN");
    }
  };
  for (const name of ["orders.eu", "news"]) await asAdmin(server, "DELETE", `/topics/${name}`);
  await client.find(({ msg }) => msg === "topic_deleted");
  await check("orders.eu", "TOPIC_NOT_FOUND");
  for (const name of ["orders.eu", "news"]) await asAdmin(server, "POST", "/topics", { name });
  await check("orders.eu", undefined);
});

Deno.test("a token among the subprotocols is not chosen, and the one beside it is", async () => {
  await using server = await serve(settings);
  for (const [protocol, isArray] of [["tidings.v1", false], ["tidings.batch.v1", true]] as const) {
    await using client = await Client.connect(server, carried(token(600), protocol));
    assertEquals(client.socket.protocol, protocol);
    const frames: unknown[] = [];
    client.socket.addEventListener("message", ({ data }) => frames.push(JSON.parse(data)));
    await client.request(subscribe("orders.eu"));
    await client.request(publish("orders.eu", 1));
    // Its event and its ack come of one turn.
    assertEquals(frames.some(Array.isArray), isArray);
  }
});

Deno.test("a ticket admits once, within 30 seconds", async () => {
  using clock = new Clock();
  await using server = await serve(settings);
  const issue = async () => {
    const headers = { authorization: `Bearer ${token(600)}` };
    const response = await fetch(`${server.url}/auth/ticket`, { method: "POST", headers });
    return await response.json();
  };
  const connect = (ticket: string) => TcpClient.connect(server.port, `/ws?ticket=${ticket}`);
  const isRefused = (ticket: string) =>
    connect(ticket).then(() => false, (thrown) => /^Cannot upgrade/.test(thrown.message));

  const { ticket, expires_at } = await issue();
  assert(Math.abs(Date.parse(expires_at) - Date.now() - 30_000) < 5_000);
  {
    await using client = await connect(ticket);
    client.send(subscribe("orders.eu"));
    await client.fence();
    assertEquals(client.received[0].type, "ack");
  }
  assert(await isRefused(ticket), "a second time");

  const late = await issue();
  clock.advance(30_000);
  assert(await isRefused(late.ticket), "too late");
});

Deno.test("where access is off, auth is answered with a plain ack, and nobody has to send it", async () => {
  await using server = await serve({ topics: ["t"] });
  await using client = await Client.connect(server, carried("not.a.token"));
  assertEquals(client.socket.protocol, "tidings.v1");
  assertEquals((await client.request(subscribeAs("t"))).type, "ack");
  const { ts: _, ...ack } = await client.request({ type: "auth", token: "whatever" });
  assertEquals(ack, { type: "ack", request_id: "request-2", status: "ok" });
  assertEquals((await client.request(publish("t", 1))).subscribers, 1);
});
