/**
 * Every command and every message in the README of the system that tidings implements anew, sent by the programs that
 * it names, and answered as it prints. Fields that it does not print may come in addition.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Received } from "./harness.ts";
import { missingPrograms, shell, Wscat } from "./programs.ts";
import { ServerProcess } from "./server_process.ts";

const missing = missingPrograms("curl", "wscat");
const ignore = missing.length > 0;
if (ignore) {
  const message =
    `Skipped: transcript_test.ts, as ${missing.join(" and ")} cannot be found on PATH.` +
    " To run it: npm install -g wscat, and curl from your system's packages.";
  if (Deno.env.get("CI") === "true") throw new Error(message);
  console.warn(message);
}

Deno.test({ name: "the manual end-to-end test goes as described", ignore }, async () => {
  await using server = await startServer();
  assertAnswers(
    await shell(
      `curl -X POST http://localhost:8000/topics -H "Content-Type: application/json" -d '{"name": "sensor-data"}'`,
      server,
    ),
    { status: "created", topic: "sensor-data" },
  );

  await using terminal1 = await Wscat.connect(server);
  await terminal1.type(
    '{"type": "subscribe", "topic": "sensor-data", "client_id": "client-001", "request_id":"sub1"}',
  );
  assertAnswers(await terminal1.next(), ack("sensor-data", "sub1"));

  await using terminal2 = await Wscat.connect(server);
  await terminal2.type(
    '{"type": "publish", "topic": "sensor-data", "message": {"id": "550e8400-e29b-41d4-a716-446655440000", "payload": {"temp": 22.5}}, "request_id":"pub1"}',
  );
  assertAnswers(await terminal2.next(), ack("sensor-data", "pub1"));
  assertAnswers(
    await terminal1.next(),
    event("sensor-data", {
      id: "550e8400-e29b-41d4-a716-446655440000",
      payload: { "temp": 22.5 },
    }),
  );

  assertEquals(await server.stop(), 0);
});

Deno.test({ name: "the REST endpoints answer curl as described", ignore }, async () => {
  await using server = await startServer();
  assertAnswers(
    await shell(
      `curl -X POST http://localhost:8000/topics -H "Content-Type: application/json" -d '{"name": "orders"}'`,
      server,
    ),
    { status: "created", topic: "orders" },
  );
  assertAnswers(await shell("curl http://localhost:8000/topics", server), {
    topics: [{ name: "orders", subscribers: 0 }],
  });
  const health = await shell("curl http://localhost:8000/health", server);
  assert(Number.isInteger(health.uptime_sec) && health.uptime_sec >= 0);
  assertAnswers(health, {
    status: "ok",
    uptime_sec: health.uptime_sec,
    topics: 1,
    subscribers: 0,
  });
  assertAnswers(await shell("curl http://localhost:8000/stats", server), {
    topics: { orders: { messages: 0, subscribers: 0 } },
  });
  assertAnswers(await shell("curl -X DELETE http://localhost:8000/topics/orders", server), {
    status: "deleted",
    topic: "orders",
  });
  assertAnswers(await shell("curl http://localhost:8000/topics", server), { topics: [] });

  assertEquals(await server.stop(), 0);
});

Deno.test({ name: "the WebSocket messages are answered as printed", ignore }, async () => {
  await using server = await startServer("orders");
  await using wscat = await Wscat.connect(server);
  const message = {
    id: "a1b2c3d4-e5f6-7890-1234-567890abcdef",
    payload: { order_id: "ORD-789", amount: "12.34", currency: "USD" },
  };

  await wscat.type(
    '{ "type": "subscribe", "topic": "orders", "client_id": "s1", "last_n": 5, "request_id": "sub-123" }',
  );
  assertAnswers(await wscat.next(), ack("orders", "sub-123"));

  await wscat.type(
    '{ "type": "publish", "topic": "orders", "message": { "id": "a1b2c3d4-e5f6-7890-1234-567890abcdef", "payload": { "order_id": "ORD-789", "amount": "12.34", "currency": "USD" } }, "request_id": "pub-789" }',
  );
  const answers = [await wscat.next(), await wscat.next()];
  assertAnswers(answers.find(({ type }) => type === "ack"), ack("orders", "pub-789"));
  assertAnswers(answers.find(({ type }) => type === "event"), event("orders", message));
  assertAnswers(await shell("curl http://localhost:8000/stats", server), {
    topics: { orders: { messages: 1, subscribers: 1 } },
  });

  await wscat.type(
    '{ "type": "unsubscribe", "topic": "orders", "client_id": "s1", "request_id": "unsub-456" }',
  );
  assertAnswers(await wscat.next(), ack("orders", "unsub-456"));

  await wscat.type('{ "type": "ping", "request_id": "ping-abc" }');
  assertAnswers(await wscat.next(), { type: "pong", request_id: "ping-abc", ts });

  await wscat.type(
    '{ "type": "subscribe", "topic": "invalid-topic", "client_id": "s1", "request_id": "req-xyz" }',
  );
  assertAnswers(await wscat.next(), {
    type: "error",
    request_id: "req-xyz",
    topic: "invalid-topic",
    error: { code: "TOPIC_NOT_FOUND", message: "Topic 'invalid-topic' not found" },
    ts,
  });

  assertAnswers(await wscat.heartbeat(), { type: "info", msg: "ping", ts });

  await wscat.type('{ "type": "subscribe", "topic": "orders", "client_id": "s1", "last_n": 5 }');
  assertAnswers(await wscat.next(), { type: "ack", topic: "orders", status: "ok", ts });
  assertAnswers(await wscat.next(), event("orders", message));
  await shell("curl -X DELETE http://localhost:8000/topics/orders", server);
  assertAnswers(await wscat.next(), { type: "info", topic: "orders", msg: "topic_deleted", ts });

  assertEquals(await server.stop(), 0);
});

Deno.test({ name: "the sequence diagram is what happens", ignore }, async () => {
  await using server = await startServer("topic-A");
  await using subscriber1 = await Wscat.connect(server);
  await using subscriber2 = await Wscat.connect(server);
  await using publisher = await Wscat.connect(server);
  const answer = { type: "ack", topic: "topic-A", status: "ok" };
  const first = { id: "00000000-0000-4000-8000-000000000001", payload: "M1" };
  const second = { id: "00000000-0000-4000-8000-000000000002", payload: "M2" };

  await subscriber1.type('{"type":"subscribe", "topic":"topic-A", "client_id":"sub1"}');
  assertAnswers(await subscriber1.next(), answer);
  await subscriber2.type('{"type":"subscribe", "topic":"topic-A", "client_id":"sub2"}');
  assertAnswers(await subscriber2.next(), answer);

  await publisher.type(
    `{"type":"publish", "topic":"topic-A", "message":${JSON.stringify(first)}}`,
  );
  assertAnswers(await publisher.next(), answer);
  assertAnswers(await subscriber1.next(), event("topic-A", first));
  assertAnswers(await subscriber2.next(), event("topic-A", first));

  await subscriber1.type('{"type":"unsubscribe", "topic":"topic-A", "client_id":"sub1"}');
  assertAnswers(await subscriber1.next(), answer);

  await publisher.type(
    `{"type":"publish", "topic":"topic-A", "message":${JSON.stringify(second)}}`,
  );
  assertAnswers(await publisher.next(), answer);
  assertAnswers(await subscriber2.next(), event("topic-A", second));

  await subscriber1.type('{"type":"ping"}');
  assertAnswers(await subscriber1.next(), { type: "pong" });

  assertEquals(await server.stop(), 0);
});

/** Stands for any time stamp. */
const ts = "2025-08-25T10:00:00Z";

function startServer(...topics: string[]): Promise<ServerProcess> {
  return ServerProcess.start({ topics, heartbeatIntervalSeconds: 1 });
}

function ack(topic: string, request_id: string) {
  return { type: "ack", request_id, topic, status: "ok", ts };
}

function event(topic: string, message: { id: string; payload: unknown }) {
  return { type: "event", topic, message, ts };
}

/** Every field that is printed is there and equal; of a time stamp and of an error's text only the kind is. */
function assertAnswers(actual: Received, printed: Received, path = "answer"): void {
  if (Array.isArray(printed)) {
    assert(Array.isArray(actual), `${path} is a list`);
    assertEquals(actual.length, printed.length, path);
    printed.forEach((element, index) => assertAnswers(actual[index], element, `${path}[${index}]`));
  } else if (typeof printed === "object" && printed !== null) {
    assert(typeof actual === "object" && actual !== null, `${path} is an object`);
    for (const [name, value] of Object.entries(printed)) {
      assert(Object.hasOwn(actual, name), `${path}.${name} is there`);
      assertAnswers(actual[name], value, `${path}.${name}`);
    }
  } else if (printed === ts) {
    assertMatch(actual, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, path);
  } else if (path.endsWith("error.message")) {
    assertEquals(typeof actual, "string", path);
  } else {
    assertEquals(actual, printed, path);
  }
}
