/**
 * Floods, and bytes that no good client sends, over bare sockets, each with its exact answer. After every case a
 * subscriber beside it has got every message, and nothing is left of who did it.
 */

import { assert, assertEquals } from "@std/assert";
import { encodeFrame, handshake, takeFrame } from "./frames.ts";
import {
  Client,
  getJson,
  publish,
  range,
  type Received,
  serve,
  subscribe,
  type TestServer,
  until,
} from "./harness.ts";
import { RawClient } from "./raw_client.ts";
import { ServerProcess } from "./server_process.ts";
import { TcpClient } from "./tcp_client.ts";

const settings = {
  topics: ["t", "flooded"],
  idleTimeoutSeconds: 2,
  maxMessageBytes: 4096,
  maxBufferedBytes: 65_536,
  maxControlBacklogBytes: 65_536,
};

/** What becomes of one hostile client. */
type Case = readonly [
  name: string,
  act: (server: TestServer) => Promise<unknown>,
  expected: unknown,
];

const bytesOf = (text: string) => new TextEncoder().encode(text);
const health = (headers: string) =>
  `GET /health HTTP/1.1\r\nHost: localhost\r\n${headers}Connection: close\r\n\r\n`;
const post = (headers: string, body: string) =>
  `POST /topics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${headers}\r\n${body}`;
const text = (frame: string) => encodeFrame(1, bytesOf(frame));

/** Sends bytes, each part by itself, and reads until `isEnough` or the end. */
async function exchange(
  { port }: TestServer,
  parts: readonly Uint8Array<ArrayBuffer>[],
  isEnough: (received: Uint8Array) => boolean = () => false,
): Promise<Uint8Array> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  let received = new Uint8Array();
  try {
    for (const part of parts) {
      for (let sent = 0; sent < part.length;) sent += await connection.write(part.subarray(sent));
    }
  } catch {
    // The server may have answered and gone before all was sent.
  }
  const buffer = new Uint8Array(65_536);
  try {
    while (!isEnough(received)) {
      const count = await connection.read(buffer);
      if (count === null) break;
      received = new Uint8Array([...received, ...buffer.subarray(0, count)]);
    }
  } catch {
    // The same.
  }
  return received;
}

/** The status, the code of the error and the subprotocol of an answer; without what differs from run to run. */
async function answerTo(server: TestServer, request: string | Uint8Array<ArrayBuffer>[]) {
  const parts = typeof request === "string" ? [bytesOf(request)] : request;
  const isHead = (received: Uint8Array) =>
    /\r\n\r\n/.test(new TextDecoder().decode(received)) &&
    /^HTTP\/1.1 (101|413)/.test(new TextDecoder().decode(received));
  const answer = new TextDecoder().decode(await exchange(server, parts, isHead));
  const body = answer.slice(answer.indexOf("\r\n\r\n") + 4);
  const protocol = /sec-websocket-protocol: (.*)\r/i.exec(answer)?.[1];
  return [
    Number(answer.slice(9, 12)),
    ...(protocol ? [protocol] : []),
    ...(body.startsWith("{") ? [JSON.parse(body).error?.code ?? JSON.parse(body).status] : []),
  ];
}

/** Sends frames, and answers what came back up to the close frame: the types of messages, then the code. */
async function framesFor(
  server: TestServer,
  parts: readonly Uint8Array<ArrayBuffer>[],
  count: number,
) {
  const after101 = (received: Uint8Array) => received.subarray(headEnd(received));
  const received = await exchange(
    server,
    [handshake("/ws"), ...parts],
    (received) => framesIn(after101(received)).length >= count,
  );
  return framesIn(after101(received));
}

function headEnd(received: Uint8Array): number {
  const at = new TextDecoder("latin1").decode(received.subarray(0, 1024)).indexOf("\r\n\r\n");
  return at < 0 ? received.length : at + 4;
}

/** Each frame as `pong`, `ping`, `close 1009`, or the type or the error's code of the message that is in it. */
function framesIn(bytes: Uint8Array): string[] {
  const found: string[] = [];
  for (let taken; (taken = takeFrame(bytes)) !== undefined; bytes = bytes.subarray(taken.size)) {
    const { opcode, payload } = taken.frame;
    if (opcode === 8) found.push(`close ${(payload[0]! << 8) | payload[1]!}`);
    else if (opcode === 9) found.push("ping frame");
    else if (opcode === 10) found.push("pong frame");
    else found.push(nameOf(JSON.parse(new TextDecoder().decode(payload))));
  }
  return found;
}

function nameOf({ type, error }: Received): string {
  return error?.code ?? type;
}

/** How often each name is among the messages. */
function tally(messages: readonly Received[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const message of messages) counts[nameOf(message)] = (counts[nameOf(message)] ?? 0) + 1;
  return counts;
}

/** One fragment of a message, the first or one of those that follow, never the last. */
function fragment(opcode: 0 | 1, bytes: number): Uint8Array<ArrayBuffer> {
  const frame = encodeFrame(opcode, new Uint8Array(bytes).fill(0x61));
  frame[0] = opcode;
  return frame;
}

const commas = ",".repeat(32_768);
const headers = (count: number) => range(1, count).map((n) => `X-${n}: y\r\n`).join("");

const cases: readonly Case[] = [
  // What the runtime reads of a head, and how it refuses the rest: without a body, and with the end.
  ["128 headers", (server) => answerTo(server, health(headers(126))), [200, "ok"]],
  ["129 headers", (server) => answerTo(server, health(headers(127))), [400]],
  ["thousands of headers", (server) => answerTo(server, health(headers(5_000))), [400]],
  [
    "a header of 60 KB",
    (server) => answerTo(server, health(`X: ${"y".repeat(60_000)}\r\n`)),
    [200, "ok"],
  ],
  ["a header of 1 MB", (server) => answerTo(server, health(`X: ${"y".repeat(1e6)}\r\n`)), [400]],
  ["a head of bytes", (server) => answerTo(server, "\0\x01\x02\r\n\r\n"), [400]],
  ["HTTP/0.9", (server) => answerTo(server, "GET /health\r\n\r\n"), [400]],
  [
    "a head byte by byte",
    (server) => answerTo(server, Array.from(bytesOf(health("")), (byte) => new Uint8Array([byte]))),
    [200, "ok"],
  ],
  [
    "two lengths of a body",
    (server) => answerTo(server, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "")),
    [400],
  ],
  ["a length below 0", (server) => answerTo(server, post("Content-Length: -1\r\n", "")), [400]],
  [
    "a length of 100 GB",
    (server) => answerTo(server, post("Content-Length: 99999999999\r\n", "{")),
    [413, "PAYLOAD_TOO_LARGE"],
  ],
  [
    "chunks without end",
    (server) =>
      answerTo(
        server,
        post("Transfer-Encoding: chunked\r\n", `400\r\n${"x".repeat(1024)}\r\n`.repeat(50)),
      ),
    [413, "PAYLOAD_TOO_LARGE"],
  ],

  // The list of subprotocols.
  [
    "32 KB of commas for a subprotocol",
    (server) => answerTo(server, [handshake("/ws", commas)]),
    [101],
  ],
  [
    "32 KB of commas, then one that is known, as RFC 9110 writes lists",
    (server) => answerTo(server, [handshake("/ws", `${commas} tidings.batch.v1`)]),
    [101, "tidings.batch.v1"],
  ],
  [
    "32 KB of commas, then one that is known, without a blank",
    (server) => answerTo(server, [handshake("/ws", `${commas}tidings.batch.v1`)]),
    [101, "tidings.batch.v1"],
  ],
  [
    "10,000 subprotocols",
    (server) => answerTo(server, [handshake("/ws", "a, ".repeat(10_000) + "b")]),
    [101],
  ],

  // Frames.
  [
    "a frame byte by byte",
    (server) =>
      framesFor(server, Array.from(text('{"type":"ping"}'), (byte) => new Uint8Array([byte])), 1),
    ["pong"],
  ],
  [
    "a message in fragments of one byte",
    (server) => {
      const bytes = bytesOf('{"type":"ping"}');
      const parts = Array.from(bytes, (byte, index) => {
        const frame = encodeFrame(index === 0 ? 1 : 0, new Uint8Array([byte]));
        if (index < bytes.length - 1) frame[0]! &= 0x7f;
        return frame;
      });
      return framesFor(server, parts, 1);
    },
    ["pong"],
  ],
  [
    "8 MB in fragments, with an end",
    (server) =>
      framesFor(
        server,
        [
          fragment(1, 65_535),
          ...range(1, 127).map(() => fragment(0, 65_535)),
          encodeFrame(0, new Uint8Array()),
        ],
        2,
      ),
    ["PAYLOAD_TOO_LARGE", "close 1009"],
  ],
  [
    "fragments without end, from a peer that answers no ping",
    (server) =>
      framesFor(server, [fragment(1, 1000), ...range(1, 100).map(() => fragment(0, 1000))], 2),
    ["ping frame", "close 1001"],
  ],
  [
    "fragments without end, from a peer that leaves",
    async (server) => {
      using client = await RawClient.connect(server.port);
      await client.sendBytes(fragment(1, 65_535));
      for (const _ of range(1, 100)) await client.sendBytes(fragment(0, 65_535));
      return (await getJson(server, "/stats")).connections;
    },
    2,
  ],
  [
    "a frame that begins and never ends, from a peer that answers no ping",
    (server) => framesFor(server, [encodeFrame(1, new Uint8Array(4096)).subarray(0, 100)], 2),
    ["ping frame", "close 1001"],
  ],
  [
    "10,000 ping frames",
    async (server) => {
      const pings = range(1, 10_000).map(() => encodeFrame(9, new Uint8Array()));
      const pongs = await framesFor(
        server,
        [new Uint8Array(await new Blob(pings).arrayBuffer())],
        10_000,
      );
      return [pongs.length, ...new Set(pongs)];
    },
    [10_000, "pong frame"],
  ],

  // Commands.
  [
    "10,000 pings",
    async (server) => {
      await using client = await TcpClient.connect(server.port);
      for (const n of range(1, 10_000)) client.send({ type: "ping", request_id: `r${n}` });
      await client.until(() => client.received.length === 10_000);
      assertEquals(
        client.received.map(({ request_id }) => request_id),
        range(1, 10_000).map((n) => `r${n}`),
      );
      return tally(client.received);
    },
    { pong: 10_000 },
  ],
  [
    "10,000 subscriptions",
    async (server) => {
      await using client = await TcpClient.connect(server.port);
      for (const n of range(1, 10_000)) client.send(subscribe("flooded", { client_id: `c${n}` }));
      await client.until(() => client.received.length === 10_000);
      return tally(client.received);
    },
    { ack: 128, LIMIT_EXCEEDED: 9_872 },
  ],
  [
    "10,000 publishes to itself",
    async (server) => {
      await using client = await TcpClient.connect(server.port);
      client.send(subscribe("flooded", { overflow: "catch_up" }));
      for (const n of range(1, 10_000)) {
        client.send(publish("flooded", n));
        // As much as may wait for one that shares its loop with the server.
        if (n % 200 === 0) await client.fence();
      }
      await client.until(() =>
        client.received.filter(({ type }) => type === "ack").length === 10_001
      );
      return tally(client.received.filter(({ type }) => type === "ack"));
    },
    { ack: 10_001 },
  ],
  [
    "10,000 requests whose answers are never read",
    async (server) => {
      using client = await RawClient.connect(server.port);
      const request_id = "r".repeat(3_000);
      const closings = async () =>
        (await getJson(server, "/stats")).refused.MAX_CONTROL_BACKLOG_BYTES;
      const before = await closings();
      const frame = text(JSON.stringify({ type: "ping", request_id }));
      // It takes no more once it has given this client up.
      const sending = (async () => {
        for (const _ of range(1, 10_000)) await client.sendBytes(frame);
      })().catch(() => {});
      await until(async () => await closings() > before, "it is given up");
      client.hangUp();
      await sending;
      return await closings() - before;
    },
    1,
  ],

  // Connections.
  [
    "connecting and closing 1,000 times",
    async ({ port }) => {
      for (const _ of range(1, 1_000)) {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      }
    },
    undefined,
  ],
  [
    "asking for a WebSocket and closing 1,000 times",
    async ({ port }) => {
      for (const _ of range(1, 1_000)) {
        using connection = await Deno.connect({ hostname: "127.0.0.1", port });
        await connection.write(handshake("/ws"));
      }
    },
    undefined,
  ],
  [
    "opening a WebSocket and breaking off 1,000 times",
    async ({ port }) => {
      for (const _ of range(1, 1_000)) {
        const client = await TcpClient.connect(port);
        client.send(subscribe("flooded"));
        await client.abort();
      }
    },
    undefined,
  ],
];

Deno.test("whatever comes has its answer, costs a subscriber beside it nothing, and leaves nothing behind", async (test) => {
  await using server = await serve(settings);
  await using beside = await Client.connect(server);
  await beside.request(subscribe("t"));
  for (const [index, [name, act, expected]] of cases.entries()) {
    await test.step(name, async () => {
      assertEquals(await act(server), expected);
      await beside.request(publish("t", index));
      await beside.fence();
      assertEquals(beside.events.map(({ offset }) => offset), range(1, beside.events.length));
      assertEquals(beside.events.at(-1).message.payload, index);
      await until(async () => {
        const { connections, places, evicted, total } = await getJson(server, "/stats");
        return connections === 1 && places === 1 && evicted === 0 && total.subscribers === 1;
      }, "nothing of it is left");
    });
  }
  const faults = server.logged.filter(({ level }) => level === "error" || level === "warn");
  assertEquals(faults, []);
  assert(beside.received.every(({ type }) => type !== "error"));
});

// In a process of its own, since the runtime never ends the upgrade of such a connection.
Deno.test("connections that break off while they are opened are counted, and keep nobody's place", async () => {
  await using server = await ServerProcess.start({ ...settings, maxConnections: 20 });
  await using beside = await Client.connect(server);
  await beside.request(subscribe("t"));
  for (let n = 0; n < 300; n++) await RawClient.breakOff(server.port, handshake("/ws"));
  await until(
    async () => (await getJson(server, "/stats")).places === 1,
    "all places but one are free",
  );
  await using another = await Client.connect(server);
  await another.request(publish("t", 1));
  await beside.find(({ type }) => type === "event");
  const { places, connections } = await getJson(server, "/stats");
  assertEquals([places, connections], [2, 2]);
});

Deno.test("WebSockets that use up all file descriptors end nobody else's, and new ones open when there are some again", async () => {
  await using server = await ServerProcess.start(settings, [
    "sh",
    "-c",
    'ulimit -n 64; exec "$@"',
    "sh",
  ]);
  await using beside = await Client.connect(server);
  await beside.request(subscribe("t"));
  for (const round of range(1, 3)) {
    const crowd: TcpClient[] = [];
    const failures = () =>
      server.logged.filter(({ message }) => message.startsWith("listener failed")).length;
    const before = failures();
    const connections: Deno.TcpConn[] = [];
    for (let n = 0; n < 200 && failures() === before; n++) {
      try {
        const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
        connections.push(connection);
        await connection.write(handshake("/ws"));
      } catch {
        // Nobody listens any more.
        break;
      }
    }
    await until(() => failures() > before, "the listener failed");
    assertEquals((await beside.request(publish("t", round))).type, "ack");
    for (const connection of connections) connection.close();
    await until(
      () => TcpClient.connect(server.port).then((client) => crowd.push(client) > 0, () => false),
      "new ones open again",
    );
    for (const client of crowd) await client.close();
    await until(async () => {
      const { connections, places, evicted } = await getJson(server, "/stats");
      return connections === 1 && places === 1 && evicted === 0;
    }, "nothing of them is left");
  }
  await beside.fence();
  assertEquals(beside.events.map(({ message }) => message.payload), [1, 2, 3]);
  assertEquals(await server.stop(), 0);
});
