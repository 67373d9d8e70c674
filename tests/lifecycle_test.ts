import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  Client,
  flood,
  getJson,
  publish,
  range,
  type Received,
  serve,
  subscribe,
  until,
} from "./harness.ts";
import { RawClient } from "./raw_client.ts";
import { ServerProcess } from "./server_process.ts";
import { TcpClient } from "./tcp_client.ts";
import { Valves } from "./valve.ts";

Deno.test("SIGTERM: what was acked reaches every healthy subscriber before its 1001, and the process ends with 0", async () => {
  await using server = await ServerProcess.start({
    topics: ["t"],
    shutdownTimeoutSeconds: 3,
    maxBufferedBytes: 65_536,
  });
  const subscribers = await Promise.all(Array.from({ length: 199 }, () => Client.connect(server)));
  await Promise.all(subscribers.map((subscriber) => subscriber.request(subscribe("t"))));
  using stalled = await RawClient.connect(server.port);
  await stalled.sendJson(subscribe("t"));
  const publisher = await Client.connect(server);

  let sent = 0;
  const publishing = (async () => {
    while (publisher.socket.readyState === WebSocket.OPEN) {
      for (let burst = 0; burst < 20; burst++) {
        publisher.send({ ...publish("t", "x".repeat(500)), request_id: String(++sent) });
      }
      await publisher.fence().catch(() => {});
    }
  })();
  await until(() => sent > 500, "the publisher is under way");
  server.signal("SIGTERM");
  await until(async () => {
    const response = await fetch(`${server.url}/health`);
    const { status } = await response.json();
    return response.status === 503 && status === "draining";
  }, "/health says draining");
  await assertRejects(() => RawClient.connect(server.port), Error, "HTTP/1.1 503");

  const endings = await Promise.all(subscribers.map(({ closed }) => closed));
  // Not 1001 for sure: the runtime drops a connection on which a message arrives after its close frame was sent.
  await publisher.closed;
  await publishing;
  const { code } = await server.status;
  assertEquals(code, 0);
  const [draining, stopped] = ["draining", "stopped"].map((what) =>
    Date.parse(server.logged.find(({ message }) => message === what).ts)
  );
  assert(stopped! - draining! <= 3_000, "within the time-out");
  assertEquals(new Set(endings.map(({ code }) => code)), new Set([1001]));

  const acked = Math.max(...offsetsOf(publisher.received, "ack"));
  for (const { received } of subscribers) {
    const offsets = offsetsOf(received, "event");
    assertEquals(offsets, range(1, acked));
    const infos = received.filter(({ type }) => type === "info").map(({ msg }) => msg);
    assertEquals(infos, ["topic_deleted", "shutdown"]);
    assertEquals(received.at(-1).msg, "shutdown");
  }
});

Deno.test("a slow subscriber that reads on after SIGTERM gets all that was queued, then its 1001", async () => {
  await using server = await ServerProcess.start({ topics: ["t"] });
  const slow = await RawClient.connect(server.port);
  await slow.sendJson(subscribe("t"));
  await slow.readJson();
  await using publisher = await Client.connect(server);
  await flood(publisher, 5_000);
  server.signal("SIGTERM");
  await publisher.closed;
  const { messages: stream, code } = await slow.readToEnd();
  slow[Symbol.dispose]();
  assertEquals(code, 1001);
  assertEquals(stream.slice(-3).map(({ offset, msg }) => offset ?? msg), [
    5_000,
    "topic_deleted",
    "shutdown",
  ]);
  const events = stream.filter(({ type }) => type === "event").length;
  const lost = stream.reduce((sum, { error }) => sum + (error?.dropped ?? 0), 0);
  assertEquals(events + lost, 5_000);
  assertEquals((await server.status).code, 0);
});

Deno.test("while it drains, every request is answered with SHUTTING_DOWN", async () => {
  using valves = new Valves();
  await using server = await serve({ topics: ["t"], maxBufferedBytes: 16_384 });
  await using slow = await TcpClient.connect(server.port, "/ws?valve=slow");
  slow.send(subscribe("t"));
  await slow.fence();
  valves.close("slow");
  await using publisher = await Client.connect(server);
  await flood(publisher, 100);

  const ended = server.shutdown();
  const posted = await fetch(`${server.url}/topics/t/messages`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"payload":1}',
  });
  assertEquals([posted.status, (await posted.json()).error.code], [503, "SHUTTING_DOWN"]);
  slow.send({ ...publish("t", 1), request_id: "publish" });
  slow.send({ ...subscribe("t"), request_id: "subscribe" });
  slow.send({ type: "ping", request_id: "ping" });
  slow.send("nonsense");
  await until(
    () => server.logged.some(({ message }) => message === "request refused"),
    "all that was sent has arrived",
  );
  valves.open("slow");
  assertEquals(await slow.closed, 1001);
  assertEquals(
    slow.received.slice(-6).map(({ msg, request_id, type, error }) => [
      msg ?? request_id,
      error?.code ?? type,
    ]),
    [
      ["topic_deleted", "info"],
      ["shutdown", "info"],
      ["publish", "SHUTTING_DOWN"],
      ["subscribe", "SHUTTING_DOWN"],
      ["ping", "pong"],
      [undefined, "BAD_REQUEST"],
    ],
  );
  await ended;
});

Deno.test("a subscriber that never reads does not keep the process from ending in time", async () => {
  await using server = await ServerProcess.start({
    topics: ["t"],
    maxBufferedBytes: 16_384,
    shutdownTimeoutSeconds: 1,
  });
  using stalled = await RawClient.connect(server.port);
  await stalled.sendJson(subscribe("t"));
  await stalled.readJson();
  await using publisher = await Client.connect(server);
  await flood(publisher, 5_000);
  assertEquals((await getJson(server, "/stats")).topics.t.lagging, 1);
  assertEquals(await server.stop(), 0);
});

Deno.test("a second signal ends the process at once", async () => {
  await using server = await ServerProcess.start({ topics: ["t"], shutdownTimeoutSeconds: 60 });
  using stalled = await RawClient.connect(server.port);
  await stalled.sendJson({ type: "ping" });
  await until(async () => (await getJson(server, "/stats")).connections === 1, "it is connected");
  server.signal("SIGINT");
  await until(() => server.logged.some(({ message }) => message === "draining"), "it drains");
  server.signal("SIGTERM");
  assertEquals((await server.status).code, 143);
});

Deno.test("every open socket gets a heartbeat", async () => {
  await using server = await serve({ heartbeatIntervalSeconds: 1 });
  await using client = await Client.connect(server);
  const { type, msg, ts } = await client.next();
  assertEquals([type, msg], ["info", "ping"]);
  assert(ts.endsWith("Z"));
});

Deno.test("a peer that shows no sign of life is gone, with its subscriptions", async () => {
  await using server = await serve({ topics: ["t"], idleTimeoutSeconds: 1 });
  using dead = await RawClient.connect(server.port);
  await dead.sendJson(subscribe("t"));
  await until(
    async () => (await getJson(server, "/health")).subscribers === 1,
    "it has subscribed",
  );
  await until(async () => (await getJson(server, "/health")).subscribers === 0, "it is gone");
});

Deno.test("a peer that reads nothing while messages wait for it is gone too", async () => {
  await using server = await serve({
    topics: ["t"],
    idleTimeoutSeconds: 1,
    maxBufferedBytes: 65_536,
  });
  using dead = await RawClient.connect(server.port);
  await dead.sendJson(subscribe("t"));
  await dead.readJson();
  await using publisher = await Client.connect(server);
  await until(async () => {
    for (let burst = 0; burst < 100; burst++) publisher.send(publish("t", "x".repeat(10_000)));
    await publisher.fence();
    return (await getJson(server, "/health")).subscribers === 0;
  }, "it is gone");
});

Deno.test("out of file descriptors the server goes on, and listens again when there are some", async () => {
  await using server = await ServerProcess.start(
    { topics: ["t"] },
    ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"],
  );
  await using witness = await Client.connect(server);
  await witness.request(subscribe("t"));
  const connections: Deno.Conn[] = [];
  const failed = () => server.logged.some(({ message }) => message.startsWith("listener failed"));
  for (let n = 0; n < 200 && !failed(); n++) {
    try {
      connections.push(await Deno.connect({ port: server.port, hostname: "127.0.0.1" }));
    } catch {
      break;
    }
  }
  await until(failed, "the listener failed");
  assertEquals((await witness.request(publish("t", 1))).type, "ack", "open sockets live on");
  for (const connection of connections) connection.close();
  await until(
    () =>
      fetch(`${server.url}/health`).then((response) => response.json()).then(
        () => true,
        () => false,
      ),
    "it listens again",
  );
  await using another = await Client.connect(server);
  await another.request(subscribe("t"));
  await witness.request(publish("t", 2));
  await another.find(({ offset, type }) => type === "event" && offset === 2);
  assertEquals(await server.stop(), 0);
});

function offsetsOf(received: Received[], type: string): number[] {
  return received.filter((message) => message.type === type && message.offset).map(({ offset }) =>
    offset
  );
}
