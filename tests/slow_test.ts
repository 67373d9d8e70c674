import { assert, assertEquals, assertLess } from "@std/assert";
import {
  Client,
  flood,
  getJson,
  makeTopic,
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

const messages = 5_000;
const settings = { maxBufferedBytes: 65_536 };

Deno.test("a subscriber that stops reading loses the oldest, is told exactly, and nobody else notices", async () => {
  await using server = await serve(settings);
  await makeTopic(server, "t");
  using stalled = await RawClient.connect(server.port);
  await stalled.sendJson(subscribe("t"));
  assertEquals((await stalled.readJson()).type, "ack");
  await using healthy = await Client.connect(server);
  await healthy.request(subscribe("t"));
  await using publisher = await Client.connect(server);

  await flood(publisher, messages);
  await healthy.find(({ offset }) => offset === messages);

  assertEquals(healthy.events.map(({ offset }) => offset), range(1, messages));
  assertEquals(publisher.received.filter(({ type }) => type === "ack").length, messages);

  const stream: Received[] = [];
  while (stream.at(-1)?.offset !== messages) stream.push(await stalled.readJson());
  const losses = stream.filter(({ type }) => type === "error");
  assert(losses.length > 0, "the stall was too short for a loss");
  let expected = 1;
  for (const message of stream) {
    if (message.type === "event") {
      assertEquals(message.offset, expected++);
      continue;
    }
    const { code, dropped, from_offset, to_offset } = message.error;
    assertEquals(code, "SLOW_CONSUMER");
    assertEquals(message.topic, "t");
    assertEquals(from_offset, expected);
    assertEquals(dropped, to_offset - from_offset + 1);
    expected = to_offset + 1;
  }
  assertEquals(expected - 1, messages, "received + reported lost = published");
  assertEquals(stream.at(-51)?.type, "error", "the newest 50 are kept");
});

Deno.test("a stalled subscriber costs less than 10 MB", async () => {
  await using server = await ServerProcess.start({ topics: ["t"] });
  await using publisher = await Client.connect(server);
  await flood(publisher, 2 * messages);
  const before = await server.residentBytes();

  using stalled = await RawClient.connect(server.port);
  await stalled.sendJson(subscribe("t"));
  assertEquals((await stalled.readJson()).type, "ack");
  await flood(publisher, messages);

  assertLess(await server.residentBytes() - before, 10e6);
});

Deno.test("a replay that is larger than a connection's room comes whole, then what was published meanwhile", async () => {
  using valves = new Valves();
  await using server = await serve({ ...settings, maxHistory: 1_000, topics: ["t"] });
  await using publisher = await Client.connect(server);
  await flood(publisher, 1_000);
  await using slow = await TcpClient.connect(server.port, "/ws?valve=slow");
  valves.close("slow");
  slow.send(subscribe("t", { last_n: 1_000 }));
  await until(
    async () => (await getJson(server, "/stats")).topics.t.lagging === 1,
    "the replay has begun",
  );
  await flood(publisher, 10);
  valves.open("slow");
  await slow.until(() => slow.received.at(-1)?.offset === 1_010);
  assertEquals(slow.received.map(({ offset }) => offset), [1_000, ...range(1, 1_010)]);
});

Deno.test("a client that lets its answers pile up is closed with 4008, after those that it had room for", async () => {
  await using server = await serve({ ...settings, maxControlBacklogBytes: 65_536, topics: ["t"] });
  using silent = await RawClient.connect(server.port);
  const request_id = "r".repeat(50_000);
  let sent = 0;
  const stats = () => getJson(server, "/stats");
  // One by one, as the runtime drops a connection that sends on after it was told to close.
  while ((await stats()).connections === 1) {
    await silent.sendJson({ ...publish("t", ++sent), request_id });
    await until(async () => (await stats()).topics.t.messages === sent, "it is placed");
  }
  const { messages: acks, code } = await silent.readToEnd();
  assertEquals(code, 4008);
  assertEquals(acks.map(({ offset }) => offset), range(1, acks.length));
  assertLess(acks.length, sent);
});
