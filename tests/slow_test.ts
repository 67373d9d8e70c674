import { assert, assertEquals, assertLess } from "@std/assert";
import { Client, makeTopic, publish, type Received, serve, subscribe } from "./harness.ts";
import { RawClient } from "./raw_client.ts";
import { ServerProcess } from "./server_process.ts";

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

  assertEquals(healthy.events.map(({ offset }) => offset), count(1, messages));
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

function count(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

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

async function flood(publisher: Client, count: number): Promise<void> {
  for (let sent = 1; sent <= count; sent++) {
    publisher.send(publish("t", "x".repeat(1000)));
    if (sent % 100 === 0) await publisher.fence();
  }
}
