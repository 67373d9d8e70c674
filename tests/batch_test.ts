/** `tidings.batch.v1`: several messages in one frame, in both directions. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { batchSubprotocol } from "../src/protocol.ts";
import { handshake } from "./frames.ts";
import { Client, publish, type Received, serve, subscribe } from "./harness.ts";

/** The text frames that a client gets from now on. */
function framesOf({ socket }: Client): Received[] {
  const frames: Received[] = [];
  socket.addEventListener("message", ({ data }) => frames.push(JSON.parse(data)));
  return frames;
}

Deno.test("an array of commands is answered in order, command by command", async () => {
  await using server = await serve({ topics: ["t"] });
  await using client = await Client.connect(server, ["other", batchSubprotocol]);
  assertEquals(client.socket.protocol, batchSubprotocol);
  const commands = [
    { ...subscribe("t"), request_id: "1" },
    { ...publish("t", "a"), request_id: "2" },
    "no command",
    { ...publish("t", { n: 1 }), request_id: "4" },
    { type: "ping", request_id: "5" },
  ];
  client.send(`  ${JSON.stringify(commands)}`);
  await client.find(({ request_id }) => request_id === "5");
  const answers = client.received.filter(({ type }) => type !== "event");
  assertEquals(answers.map(({ type, request_id }) => [type, request_id]), [
    ["ack", "1"],
    ["ack", "2"],
    ["error", undefined],
    ["ack", "4"],
    ["pong", "5"],
  ]);
  await client.fence();
  assertEquals(client.events.map(({ message }) => message.payload), ["a", { n: 1 }]);
});

Deno.test("what one turn brings comes in one frame, and a lone message as it is", async () => {
  await using server = await serve({ topics: ["t", "u"] });
  await using subscriber = await Client.connect(server, [batchSubprotocol]);
  await subscriber.request(subscribe("t"));
  await subscriber.request(subscribe("u"));
  await using publisher = await Client.connect(server, [batchSubprotocol]);
  const frames = framesOf(subscriber);
  const answers = framesOf(publisher);

  await publisher.request(publish("t", 0));
  await subscriber.find(({ offset, type }) => type === "event" && offset === 1);
  assertEquals(frames.map(({ topic }) => topic), ["t"]);
  assertEquals(answers.length, 1);

  publisher.send([publish("t", 1), publish("u", 2), publish("t", 3)]);
  await subscriber.find(({ offset, topic }) => topic === "u" && offset === 1);
  assertEquals(frames.length, 2);
  assertEquals(frames[1].map(({ topic, offset }: Received) => [topic, offset]), [
    ["t", 2],
    ["t", 3],
    ["u", 1],
  ]);
  await publisher.fence();
  assertEquals(answers[1].map(({ type, offset }: Received) => [type, offset]), [
    ["ack", 2],
    ["ack", 1],
    ["ack", 3],
  ]);
});

Deno.test("without the subprotocol a frame is one message, both ways", async () => {
  await using server = await serve({ topics: ["t"] });
  await using client = await Client.connect(server);
  const frames = framesOf(client);
  client.send([{ type: "ping" }]);
  assertEquals((await client.next()).error.code, "BAD_REQUEST");
  await client.request(subscribe("t"));
  for (let n = 0; n < 100; n++) client.send(publish("t", n));
  await client.fence();
  assert(frames.every((frame) => !Array.isArray(frame)));
  assertEquals(client.events.length, 100);
});

Deno.test("an array that holds no command, or is no JSON, is refused once", async () => {
  await using server = await serve();
  await using client = await Client.connect(server, [batchSubprotocol]);
  for (const frame of ["[]", "[1,", '[{"type":"ping"]', "[[]]"]) {
    client.send(frame);
    assertEquals((await client.next()).error.code, "BAD_REQUEST", frame);
  }
  await client.fence();
});

Deno.test("a subprotocol is found in a list with and without blanks", async () => {
  await using server = await serve();
  for (const list of ["a,tidings.batch.v1", "tidings.batch.v1 ,a", "a, tidings.batch.v1"]) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await connection.write(handshake("/ws", list));
    const buffer = new Uint8Array(1024);
    const length = await connection.read(buffer);
    const head = new TextDecoder().decode(buffer.subarray(0, length!));
    assertMatch(
      head,
      /^HTTP\/1\.1 101 [^]*\r\nsec-websocket-protocol: tidings\.batch\.v1\r\n/i,
      list,
    );
    connection.close();
  }
});
